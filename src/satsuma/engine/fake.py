"""Encoders without a model: one whose output a person can predict, and one of a known rate.

For tests, demonstrations and measurements.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

import numpy as np

from satsuma.engine.protocol import Microbatch, Width
from satsuma.errors import EngineError
from satsuma.types import FloatArray


@dataclass
class FakeEncoder:
    """Hidden state of a token with id t at position p of its item: [1, t, p, 0].

    Attributes:
        delay_s: how long each run takes.
        poison_id: a microbatch with this token fails with EngineError.
        deadly_id: a microbatch with this token ends the thread that runs it.
        runs: the lengths and width of every microbatch so far.
    """

    delay_s: float = 0.0
    poison_id: int = -1
    deadly_id: int = -2
    hidden_size: int = 4
    memory_bytes: int = 1000
    is_normalized: bool = True
    runs: list[tuple[list[int], Width]] = field(default_factory=list)

    def encode(self, microbatch: Microbatch, width: Width) -> FloatArray:
        """Run; see `engine.protocol.Encoder`."""
        self.runs.append((microbatch.lengths.tolist(), width))
        time.sleep(self.delay_s)
        if self.poison_id in microbatch.token_ids:
            raise EngineError("poison")
        if self.deadly_id in microbatch.token_ids:
            raise SystemExit
        positions = np.concatenate([np.arange(length) for length in microbatch.lengths])
        columns = [
            np.ones(len(positions)),
            microbatch.token_ids,
            positions,
            np.zeros(len(positions)),
        ]
        return np.stack(columns, axis=1).astype(np.float32)  # (T, 4)

    def close(self) -> None:
        """Nothing is held."""


class PacedEncoder:
    """An encoder that takes its time and hardly any processor: to measure what is around one.

    Its runs share one clock, as runs on one card do: two at once end one after the other. Hidden
    states are the rows of a table of random numbers, so every vector is another one.
    """

    def __init__(self, tokens_per_s: float, *, hidden_size: int, most_tokens: int) -> None:
        """Draw the table.

        Args:
            tokens_per_s: of all runs together.
            hidden_size: of its hidden states.
            most_tokens: of one microbatch.
        """
        self.hidden_size = hidden_size
        self.is_normalized = True
        self._tokens_per_s = tokens_per_s
        self._lock = threading.Lock()
        self._free_at_s = 0.0
        draws = np.random.default_rng(0)
        self._states = draws.standard_normal((most_tokens, hidden_size), np.float32)  # (T, H)

    @property
    def memory_bytes(self) -> int:
        """What the table takes."""
        return self._states.nbytes

    def encode(self, microbatch: Microbatch, width: Width) -> FloatArray:
        """Run; see `engine.protocol.Encoder`."""
        del width
        num_tokens = len(microbatch.token_ids)
        time.sleep(max(0.0, self._book(num_tokens) - time.monotonic()))
        return self._states[:num_tokens]  # (T, H)

    def close(self) -> None:
        """Nothing is held."""

    def _book(self, num_tokens: int) -> float:
        """Take the next free time; tells when it ends."""
        with self._lock:
            starts_at_s = max(self._free_at_s, time.monotonic())
            self._free_at_s = starts_at_s + num_tokens / self._tokens_per_s
            return self._free_at_s
