"""Whether a figure grows while a server runs, in spite of noise and outliers.

By how much at once, by Theil and Sen's slope; and whether that may be chance, by a line through the
medians of stretches of time and its standard error.

Source: Sen 1968, https://doi.org/10.1080/01621459.1968.10480934
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from satsuma.types import FloatArray

_MOST_POINTS = 400  # pairs are their square
_EVERY_S = 0.25
_SKIPPED_SHARE = 0.3  # of the points: a process grows at first
_NUM_STRETCHES = 24
_SURE = 3.0  # standard errors; 24 points without a trend exceed them once in 300 times


@dataclass(frozen=True, slots=True)
class Trend:
    """A line through a figure's course.

    Attributes:
        growth: from the first moment to the last.
        error: the growth's standard error; infinite where too little was seen.
    """

    growth: float
    error: float

    @property
    def is_sure(self) -> bool:
        """Whether chance alone would hardly make it grow like that."""
        return self.growth > _SURE * self.error


@dataclass
class Series:
    """A figure, as it was from time to time."""

    times_s: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def note(self, value: float) -> None:
        """Note what it is now."""
        self.times_s.append(time.monotonic())
        self.values.append(value)

    def growth(self) -> float:
        """Say by how much it grew from the first part's end to the last point, by the slope."""
        times_s, values = self._settled()
        if len(values) < 2:
            return 0.0
        return slope(times_s, values) * (times_s[-1] - times_s[0])

    def trend(self) -> Trend:
        """Say the same by the stretches' medians, and how sure that is."""
        return trend(*self._settled())

    def has_grown(self, *, floor: float, share: float) -> bool:
        """Judge: does it grow, and is that no chance, and worth a word?

        Args:
            floor: growth up to this is worth none.
            share: nor is growth up to this share of the median.
        """
        found = self.trend()
        return found.is_sure and found.growth > max(floor, share * self.median)

    def _settled(self) -> tuple[list[float], list[float]]:
        start = int(len(self.values) * _SKIPPED_SHARE)
        return self.times_s[start:], self.values[start:]

    @property
    def median(self) -> float:
        """Half of the values are below; 0 without any."""
        return float(np.median(self.values)) if self.values else 0.0


def slope(times_s: Sequence[float], values: Sequence[float]) -> float:
    """Estimate a line's slope by the median of the slopes of all pairs of points."""
    step = max(1, len(values) // _MOST_POINTS)
    x, y = np.array(times_s[::step]), np.array(values[::step])
    left, right = np.triu_indices(len(x), k=1)
    is_apart = x[right] > x[left]
    pairs = (y[right] - y[left])[is_apart] / (x[right] - x[left])[is_apart]
    return float(np.median(pairs)) if len(pairs) else 0.0


def trend(times_s: Sequence[float], values: Sequence[float]) -> Trend:
    """Fit a line to the medians of equal stretches of time, by least squares."""
    x, y = _medians(np.array(times_s), np.array(values))
    if len(x) < 3:
        return Trend(0.0, float("inf"))
    off = x - x.mean()
    spread = float(off @ off)
    steepness = float(off @ y) / spread
    rest = y - y.mean() - steepness * off
    error = float(np.sqrt(rest @ rest / (len(x) - 2) / spread))
    span_s = times_s[-1] - times_s[0]
    return Trend(steepness * span_s, error * span_s)


def _medians(times_s: FloatArray, values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Give the middles and medians of those stretches in which there is something."""
    if not len(times_s):
        return times_s, values
    edges = np.linspace(times_s[0], times_s[-1], _NUM_STRETCHES + 1)
    stretches = np.clip(np.searchsorted(edges, times_s, side="right") - 1, 0, _NUM_STRETCHES - 1)
    present = np.unique(stretches)
    parts = [stretches == one for one in present]
    return (
        np.array([times_s[part].mean() for part in parts]),
        np.array([np.median(values[part]) for part in parts]),
    )


def anonymous_bytes(process_id: int) -> float:
    """Ask Linux how much memory a process has for itself; mapped weights do not count."""
    try:
        lines = Path(f"/proc/{process_id}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0.0
    kilobytes = next((one.split()[1] for one in lines if one.startswith("RssAnon:")), "0")
    return 1024.0 * int(kilobytes)


def others_s(process_id: int) -> float:
    """Say how many seconds of the cores went to programs other than a process and this one.

    Source: https://man7.org/linux/man-pages/man5/proc_stat.5.html
    """
    try:
        whole = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]
        ours = Path(f"/proc/{process_id}/stat").read_text(encoding="utf-8").rpartition(")")[2]
    except OSError:
        return 0.0
    user, nice, system, _idle, _waiting, *interrupts_and_stolen = map(int, whole)
    busy = user + nice + system + sum(interrupts_and_stolen)
    used = sum(map(int, ours.split()[11:13]))
    return (busy - used) / os.sysconf("SC_CLK_TCK") - time.process_time()


@asynccontextmanager
async def sampled(look: Callable[[], float]) -> AsyncIterator[Series]:
    """Look at a figure again and again for the length of a block."""
    series = Series()

    async def sample() -> None:
        while True:
            series.note(look())
            await asyncio.sleep(_EVERY_S)

    task = asyncio.create_task(sample())
    try:
        yield series
    finally:
        task.cancel()
