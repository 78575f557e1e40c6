"""A microbatch on its way to a device, and where its items begin there. Nothing is padded."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import torch

from satsuma.engine.protocol import Microbatch

# By an item's length, a window and whether it is causal: (L, L), True where a token is seen.
Masks: TypeAlias = dict[tuple[int, int, bool], torch.Tensor]


@dataclass(frozen=True, slots=True)
class Inputs:
    """A microbatch on a device.

    Attributes:
        token_ids: (T,) int32.
        positions: (T,) int32, each token's place in its item.
        starts: (B + 1,) int32, each item's first token, and where the last one ends.
        lengths: tokens of each item.
        masks: those that a run has needed so far.
    """

    token_ids: torch.Tensor
    positions: torch.Tensor
    starts: torch.Tensor
    lengths: tuple[int, ...]
    masks: Masks = field(default_factory=dict)

    @property
    def longest(self) -> int:
        """Tokens of the longest item."""
        return max(self.lengths)


def send(microbatch: Microbatch, device: torch.device) -> Inputs:
    """Copy a microbatch to a device, in one piece; on a card, beside what runs there."""
    lengths = microbatch.lengths  # (B,)
    num_tokens, num_items = len(microbatch.token_ids), len(lengths)
    packed = np.zeros(2 * num_tokens + num_items + 1, np.int32)
    packed[:num_tokens] = microbatch.token_ids
    starts = packed[2 * num_tokens :]  # (B + 1,)
    np.cumsum(lengths, out=starts[1:])
    packed[num_tokens : 2 * num_tokens] = np.arange(num_tokens) - np.repeat(starts[:-1], lengths)
    there = _copy(torch.from_numpy(packed), device)
    token_ids, positions, rest = there.split((num_tokens, num_tokens, num_items + 1))
    return Inputs(token_ids, positions, rest, tuple(lengths.tolist()))


def _copy(values: torch.Tensor, device: torch.device) -> torch.Tensor:
    if device.type == "cuda":  # pinned memory is copied without waiting
        return values.pin_memory().to(device, non_blocking=True)
    return values.to(device)
