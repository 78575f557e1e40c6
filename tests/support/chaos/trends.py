"""Whether a figure grows while a server runs: Theil and Sen's slope, which outliers do not move.

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

_MOST_POINTS = 400  # pairs are their square
_EVERY_S = 0.25


@dataclass
class Series:
    """A figure, as it was from time to time."""

    times_s: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def note(self, value: float) -> None:
        """Note what it is now."""
        self.times_s.append(time.monotonic())
        self.values.append(value)

    def growth(self, skip_share: float = 0.3) -> float:
        """Say by how much it grew from the first part's end to the last point, by the slope.

        Args:
            skip_share: part of the points that is left out: a process grows at first.
        """
        start = int(len(self.values) * skip_share)
        times_s, values = self.times_s[start:], self.values[start:]
        if len(values) < 2:
            return 0.0
        return slope(times_s, values) * (times_s[-1] - times_s[0])

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
