"""The encoder of a known rate."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from satsuma.engine.load import PacedEncoder
from satsuma.engine.protocol import Microbatch, Width


def microbatch(*lengths: int) -> Microbatch:
    """Items of these lengths."""
    return Microbatch.pack([np.zeros(length, np.int64) for length in lengths])


def test_every_token_has_a_state_of_its_own() -> None:
    """So that vectors differ, and are written in as many digits as real ones."""
    encoder = PacedEncoder(1e9, hidden_size=8, most_tokens=20)
    states = encoder.encode(microbatch(5, 7), Width.ONE_LANE)
    assert states.shape == (12, 8)
    assert states.dtype == np.float32
    assert len(np.unique(states, axis=0)) == 12


def test_runs_take_turns() -> None:
    """Four of 5 tokens at 100 a second take a fifth of a second, also all at once."""
    encoder = PacedEncoder(100, hidden_size=1, most_tokens=5)
    started_at_s = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: encoder.encode(microbatch(5), Width.ONE_LANE), range(4)))
    assert time.monotonic() - started_at_s >= 0.2
