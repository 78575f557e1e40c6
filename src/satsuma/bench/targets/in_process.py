"""Bulk work in this process: fp32, int8, and one lane of all cores, in turns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from satsuma.ai import Ai
from satsuma.bench.contenders import ai_contender
from satsuma.bench.measure import Contender, Measurement, measure, summarise
from satsuma.bench.random_model import ModelShape
from satsuma.bench.targets.rows import Parts, Row, Target, Unit
from satsuma.bench.workload import MIXED

BULK = Target("bulk, mixed lengths, fp32: share of the ceiling", Unit.SHARE, at_least=0.85)
INT8 = Target("the same in int8, against fp32", Unit.RATIO, at_least=1.7)
ONE_LANE = Target("the same in one lane of all cores, against a lane a core", Unit.RATIO)

CEILINGS_A_TURN = 4  # samples, which make a second

_VARIANTS: dict[str, dict[str, str | int]] = {
    "fp32": {"device": "cpu"},
    "int8": {"precision": "int8"},
    "one lane": {"device": "cpu", "lanes": 1},
}


def measure_bulk(
    shape: ModelShape,
    models_dir: Path,
    rounds: int,
    seconds: float,
    ceiling: Callable[[], float],
) -> tuple[list[Measurement], float]:
    """Time mixed lengths on each variant of the engine, and the ceiling, in turns.

    Returns:
        The variants' figures, and the ceiling's median in the same turns, in 10^9 operations a
        second.
    """
    ceilings: list[float] = []
    with ExitStack() as stack:
        contenders = []
        for name, flags in _VARIANTS.items():
            ai = stack.enter_context(Ai(models_dir=models_dir, skip_self_test=True, **flags))  # type: ignore[arg-type]
            contenders.append(_named(ai_contender(ai, shape, MIXED), name))
        measured = measure(
            contenders,
            rounds=rounds,
            seconds=seconds,
            on_round=lambda _: ceilings.extend(ceiling() for _ in range(CEILINGS_A_TURN)),
        )
    return measured, summarise(ceilings).median


def _named(contender: Contender, name: str) -> Contender:
    return replace(contender, path=name)


def bulk_rows(measured: list[Measurement], ceiling_gflops: float) -> Iterator[Row]:
    """Set the rates against the ceiling, and against each other."""
    fp32, int8, one_lane = measured
    limit = ceiling_gflops * fp32.tokens_per_s.median / fp32.gflops  # tokens a second
    share = Parts("GFLOP/s", {"rate": fp32.gflops, "ceiling in turns": ceiling_gflops})
    yield Row.of(BULK, fp32.tokens_per_s.divided(limit), share)
    yield _against(INT8, int8, fp32)
    yield _against(ONE_LANE, one_lane, fp32)


def _against(target: Target, one: Measurement, other: Measurement) -> Row:
    """Divide a variant's rate by another's."""
    rates = {measured.path: measured.tokens_per_s.median for measured in (one, other)}
    ratio = one.tokens_per_s.divided(other.tokens_per_s.median)
    return Row.of(target, ratio, Parts("tokens/s", rates))
