"""Timing: warm-up, then rounds that take the contenders in turn, so that noise hits all alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Contender:
    """Something to time.

    Attributes:
        path: which way the work goes, such as `engine` or `http`.
        workload: name of the work.
        num_tokens: tokens of one run.
        flops: additions and multiplications that one run needs.
        run: does the work once; gets the number of runs before it, to vary its texts.
    """

    path: str
    workload: str
    num_tokens: int
    flops: int
    run: Callable[[int], object]


@dataclass(frozen=True, slots=True)
class Spread:
    """The middle of some samples and the half of them around it."""

    lower_quartile: float
    median: float
    upper_quartile: float

    def divided(self, by: float) -> Spread:
        """Set the samples against one figure."""
        return Spread(self.lower_quartile / by, self.median / by, self.upper_quartile / by)


@dataclass(frozen=True, slots=True)
class Measurement:
    """What was seen of one contender.

    Attributes:
        tokens_per_s: over the rounds.
        run_ms: one run's time, over all runs.
        gflops: at the median rate.
        num_runs: runs timed.
    """

    path: str
    workload: str
    tokens_per_s: Spread
    run_ms: Spread
    gflops: float
    num_runs: int


def summarise(samples: Sequence[float]) -> Spread:
    """Compute the median and quartiles, with linear interpolation between samples."""
    lower, median, upper = np.percentile(np.array(samples, dtype=np.float64), (25, 50, 75))
    return Spread(float(lower), float(median), float(upper))


def measure(
    contenders: Sequence[Contender],
    *,
    rounds: int,
    seconds: float,
    clock: Callable[[], float] = time.perf_counter,
    on_round: Callable[[int], None] = lambda _: None,
) -> list[Measurement]:
    """Time contenders in interleaved rounds: A B, A B, A B.

    Args:
        contenders: each is run once as a warm-up first.
        rounds: samples of each contender.
        seconds: a sample repeats its run until this has passed; one run may take longer.
        clock: seconds that only grow.
        on_round: called with the number of each round as it begins.
    """
    for contender in contenders:
        contender.run(0)
    run_seconds: list[list[list[float]]] = [[] for _ in contenders]  # contender, round, run
    for number in range(rounds):
        on_round(number)
        for contender, samples in zip(contenders, run_seconds, strict=True):
            samples.append(list(_sample(contender.run, seconds, clock)))
    return [
        to_measurement(contender, samples)
        for contender, samples in zip(contenders, run_seconds, strict=True)
    ]


def _sample(
    run: Callable[[int], object], seconds: float, clock: Callable[[], float]
) -> Iterator[float]:
    """Yield each run's seconds until enough have passed; at least one run."""
    begin_s = clock()
    end_s, number = begin_s, 0
    while number == 0 or end_s - begin_s < seconds:
        start_s = clock()
        run(number)
        end_s, number = clock(), number + 1
        yield end_s - start_s


def to_measurement(contender: Contender, samples: Sequence[Sequence[float]]) -> Measurement:
    """Sum up a contender's samples.

    Args:
        contender: what was timed.
        samples: each round's runs, in seconds.
    """
    rates = [contender.num_tokens * len(runs) / sum(runs) for runs in samples]
    tokens_per_s = summarise(rates)
    run_ms = [run_s * 1e3 for runs in samples for run_s in runs]
    return Measurement(
        path=contender.path,
        workload=contender.workload,
        tokens_per_s=tokens_per_s,
        run_ms=summarise(run_ms),
        gflops=tokens_per_s.median * contender.flops / contender.num_tokens / 1e9,
        num_runs=len(run_ms),
    )
