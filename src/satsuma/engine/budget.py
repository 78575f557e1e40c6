"""How many tokens a microbatch needs on a card to run at the full rate, found by measuring.

A card is faster the more it gets at once, up to a size that depends on the card and on the model.
Beyond it a larger microbatch only makes everybody wait longer.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from satsuma.engine.protocol import DeviceEncoder, Encoder, Microbatch, Width
from satsuma.types import IntArray

SIZES = (1024, 2048, 4096, 8192, 16_384, 32_768, 65_536)
ENOUGH = 0.95  # of the best rate
_NUM_RUNS = 2  # of each size, after one that is not timed
_WORSE = 0.9  # of the best rate: larger ones will not be better


def find_token_budget(
    encoder: Encoder, item: IntArray, clock: Callable[[], float] = time.perf_counter
) -> tuple[int, float]:
    """Find the smallest microbatch that runs at nearly the best rate. Blocks for a second or two.

    Args:
        encoder: to be measured, otherwise idle.
        item: (T,) tokens of a text of usual length.
        clock: seconds; tests give their own.

    Returns:
        Its tokens, and the seconds that it took.
    """
    measured: list[tuple[int, float]] = []  # tokens, seconds
    for size in SIZES:
        count = max(1, size // len(item))
        microbatch = Microbatch.pack([item] * count)
        num_cuts = _count_cuts(encoder)
        spent_s = _time(encoder, microbatch, clock)
        is_cut = _count_cuts(encoder) > num_cuts
        if is_cut and measured:  # by halves, of which a lane beside it leaves room for none
            break
        measured.append((count * len(item), spent_s))
        if is_cut or _rate(measured[-1]) < _WORSE * max(map(_rate, measured)):
            break
    if isinstance(encoder, DeviceEncoder):  # what the largest took, few microbatches will want
        encoder.free_memory()
    best = max(map(_rate, measured))
    return next(one for one in measured if _rate(one) >= ENOUGH * best)


def _time(encoder: Encoder, microbatch: Microbatch, clock: Callable[[], float]) -> float:
    """Run it a few times: seconds of the fastest."""
    encoder.encode(microbatch, Width.ONE_LANE)
    spent_s = []
    for _ in range(_NUM_RUNS):
        started_at_s = clock()
        encoder.encode(microbatch, Width.ONE_LANE)
        spent_s.append(clock() - started_at_s)
    return min(spent_s)


def _count_cuts(encoder: Encoder) -> int:
    return encoder.num_cuts if isinstance(encoder, DeviceEncoder) else 0


def _rate(measured: tuple[int, float]) -> float:
    num_tokens, spent_s = measured
    return num_tokens / spent_s if spent_s > 0 else 0.0
