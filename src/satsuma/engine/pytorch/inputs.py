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
        longest: tokens of the longest item.
        masks: those that a run has needed so far.
        parts: likewise, by the most tokens of their items.
    """

    token_ids: torch.Tensor
    positions: torch.Tensor
    starts: torch.Tensor
    lengths: tuple[int, ...]
    longest: int
    masks: Masks = field(default_factory=dict)
    parts: dict[int, Part | None] = field(default_factory=dict)

    def up_to(self, most_tokens: int) -> Part | None:
        """Select the items of at most so many tokens; None if all are longer."""
        if most_tokens not in self.parts:  # once a run, not once a layer
            self.parts[most_tokens] = self._select(most_tokens)
        return self.parts[most_tokens]

    def _select(self, most_tokens: int) -> Part | None:
        lengths = np.array(self.lengths)  # (B,)
        is_short = lengths <= most_tokens
        if not is_short.any():
            return None
        device = self.starts.device
        places = _copy(torch.from_numpy(np.flatnonzero(np.repeat(is_short, lengths))), device)
        starts = np.cumsum([0, *lengths[is_short]], dtype=np.int32)
        inputs = Inputs(
            token_ids=self.token_ids[places],
            positions=self.positions[places],
            starts=_copy(torch.from_numpy(starts), device),
            lengths=tuple(lengths[is_short].tolist()),
            longest=int(lengths[is_short].max()),
        )
        return Part(places, inputs)


@dataclass(frozen=True, slots=True)
class Part:
    """Some of a microbatch's items.

    Attributes:
        places: (T',) int64, where their tokens are in the whole.
        inputs: them alone.
    """

    places: torch.Tensor
    inputs: Inputs


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
    return Inputs(token_ids, positions, rest, tuple(lengths.tolist()), int(lengths.max()))


def _copy(values: torch.Tensor, device: torch.device) -> torch.Tensor:
    if device.type == "cuda":  # pinned memory is copied without waiting
        return values.pin_memory().to(device, non_blocking=True)
    return values.to(device)
