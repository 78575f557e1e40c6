"""When a load generator sends, and when it has seen enough: plain arithmetic, no clock."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

_GROWTH = 1.5  # of the rate, from step to step, until one is too much
_SLOWEST = 0.5  # requests a second; who serves fewer serves nobody in time
_CLOSE_ENOUGH = 1.1  # between a rate that is served and one that is not


def arrivals(  # noqa: PLR0913 - plain numbers, which one caller has from elsewhere
    rate_per_s: float,
    duration_s: float,
    *,
    is_poisson: bool,
    seed: int,
    warmup_s: float = 0.0,
    fewest: int = 0,
) -> list[float]:
    """Lay out the moments at which requests are sent, whatever becomes of those before.

    Args:
        rate_per_s: requests a second.
        duration_s: the last one is sent before it has passed, unless there are too few.
        is_poisson: as independent clients come; otherwise at equal distances.
        seed: of the Poisson process.
        warmup_s: those before do not count.
        fewest: of those that count; for them it goes on beyond its duration. However few are
            asked for, one counts: at the warm-up's end, if chance has none.

    Returns:
        Seconds from the beginning, ascending.
    """
    moments, num_counted = list[float](), 0
    for now_s in _poisson(rate_per_s, seed) if is_poisson else _constant(rate_per_s):
        if now_s >= duration_s and num_counted >= fewest:
            break
        moments.append(now_s)
        num_counted += now_s >= warmup_s
    return moments if num_counted else [*moments, warmup_s]


def _constant(rate_per_s: float) -> Iterator[float]:
    return (number / rate_per_s for number in itertools.count())


def _poisson(rate_per_s: float, seed: int) -> Iterator[float]:
    draws, now_s = np.random.default_rng(seed), 0.0
    while True:
        for gap_s in draws.exponential(1 / rate_per_s, size=1024).tolist():
            now_s += gap_s
            yield now_s


@dataclass
class Sweep:
    """Looks for the highest rate that is served: up in steps, then between the last two.

    Attributes:
        rate_per_s: what to try next.
        served_per_s: the highest rate that was served; 0 if none was.
        refused_per_s: the lowest rate that was not; None if all were.
    """

    rate_per_s: float
    served_per_s: float = 0.0
    refused_per_s: float | None = field(default=None)

    @property
    def is_done(self) -> bool:
        """Whether the knee is known closely enough."""
        if self.refused_per_s is None:
            return False
        return self.refused_per_s <= self.served_per_s * _CLOSE_ENOUGH or self.rate_per_s < _SLOWEST

    def note(self, *, is_served: bool) -> None:
        """Learn what became of the rate that was tried, and choose the next."""
        if is_served:
            self.served_per_s = self.rate_per_s
        else:
            self.refused_per_s = self.rate_per_s
        if self.refused_per_s is None:
            self.rate_per_s *= _GROWTH
        elif self.served_per_s:
            self.rate_per_s = (self.served_per_s * self.refused_per_s) ** 0.5
        else:
            self.rate_per_s /= 2 * _GROWTH
