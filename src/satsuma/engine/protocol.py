"""The contract between whatever batches work and whatever does it.

A microbatch is packed: one flat run of tokens and the items' lengths, never a padded rectangle.
An encoder turns it into hidden states, and knows no text, no pooling, no queue and no HTTP.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

import numpy as np

from satsuma.types import FloatArray, IntArray


class Width(StrEnum):
    """How much of the machine one run may use.

    A lone short query is fastest over all cores; bulk work is fastest in lanes, most often one a
    core (`topology`); and a query beside bulk work has one core at most.
    """

    ONE_CORE = "one_core"
    ONE_LANE = "one_lane"
    ALL_CORES = "all_cores"


@dataclass(frozen=True, slots=True)
class Microbatch:
    """What an encoder gets in one run.

    Attributes:
        token_ids: (T,) int64, the items' tokens one after another.
        lengths: (B,) int64 tokens of each item, each positive; they sum to T.
    """

    token_ids: IntArray
    lengths: IntArray

    @classmethod
    def pack(cls, items: Sequence[IntArray]) -> Microbatch:
        """Lay items of (T_i,) tokens end to end."""
        return cls(
            token_ids=np.concatenate(items),  # (T,)
            lengths=np.array([len(item) for item in items], dtype=np.int64),  # (B,)
        )


class Encoder(Protocol):
    """A loaded model. Thread-safe: several threads may call `encode` at once."""

    @property
    def hidden_size(self) -> int:
        """Width H of a hidden state."""
        ...

    @property
    def is_normalized(self) -> bool:
        """Whether a vector is scaled to length 1 once its hidden states are pooled."""
        ...

    @property
    def memory_bytes(self) -> int:
        """What keeping this encoder loaded costs."""
        ...

    def encode(self, microbatch: Microbatch, width: Width) -> FloatArray:
        """Run the model; blocks until it is done.

        Returns:
            (T, H) float32, the last layer's hidden states, in the microbatch's token order.

        Raises:
            EngineError: if the runtime fails.
        """
        ...

    def close(self) -> None:
        """Give the memory back, once the runs under way have ended; others raise EngineError."""
        ...


@runtime_checkable
class DeviceEncoder(Protocol):
    """An encoder on a device with memory of its own, where it runs in pieces what does not fit.

    Attributes:
        num_cuts: microbatches that did not fit, so far.
    """

    num_cuts: int

    @property
    def trouble(self) -> str:
        """Why no run will succeed any more, for people; empty while they may."""
        ...

    def free_memory(self) -> None:
        """Give back memory that past runs took and no run has."""
        ...
