"""The order of a load test: one phase; an idle one and some beside other work; or a sweep."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from satsuma.bench.http_client import APIS
from satsuma.bench.http_drive import Drive, Span, Work
from satsuma.bench.http_figures import Figures
from satsuma.bench.http_queue import QueueConnection
from satsuma.bench.http_schedule import Sweep, arrivals
from satsuma.bench.http_texts import Texts

IDLE, BESIDE_BULK, BESIDE_QUEUE = "idle", "beside bulk", "beside the queue"

_BULK = Texts(num_texts=32, num_tokens=128)
_SETTLE_S = 2.0  # after the other work began, before anything counts
_BULK_S = 1e6  # longer than anybody waits; they are stopped
_SEED = 1
_FEWEST_OF_STEP = 10  # requests of a sweep's step: a verdict on fewer would be luck


class StoppedError(Exception):
    """Ctrl-C came; has what was measured of the phase until then."""

    def __init__(self, figures: Figures) -> None:
        """Keep the figures."""
        super().__init__(figures.name)
        self.figures = figures


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure.

    Attributes:
        work: what is asked.
        rate_per_s: of an open loop; None is a closed loop over all connections.
        is_poisson: of an open loop.
        duration_s: of a phase, after its warm-up.
        warmup_s: of a phase.
        num_bulk: bulk clients of a second phase; 0 for none.
        num_queued: queued jobs of another phase; 0 for none.
        slo_ms: what a sweep's 99th percentile must not pass.
        fewest: requests of an open loop that count; for them a phase goes on beyond its duration.
    """

    work: Work
    rate_per_s: float | None
    is_poisson: bool = True
    duration_s: float = 10.0
    warmup_s: float = 1.0
    num_bulk: int = 0
    num_queued: int = 0
    slo_ms: float = 200.0
    fewest: int = 0


def run_phases(plan: Plan) -> Iterator[Figures]:
    """Measure once, and once more beside bulk clients and the queue where there is to be some.

    Raises:
        StoppedError: on Ctrl-C.
    """
    name = _describe(plan)
    yield run_phase(plan, f"{name}, {IDLE}" if plan.num_bulk or plan.num_queued else name)
    target = plan.work.target
    if plan.num_bulk:
        with other_work(Work(target, _BULK.bodies(target), plan.num_bulk)) as drive:
            yield run_phase(plan, f"{name}, {BESIDE_BULK}", settle_s=_SETTLE_S)
            yield drive.figures(f"{plan.num_bulk} bulk clients of 32 x 128")
    if plan.num_queued:
        target = replace(target, api=APIS[0])  # the only one with a queue
        work = Work(target, _BULK.bodies(target), plan.num_queued, QueueConnection)
        with other_work(work) as drive:
            yield run_phase(plan, f"{name}, {BESIDE_QUEUE}", settle_s=_SETTLE_S)
            yield drive.figures(f"{plan.num_queued} queued jobs of 32 x 128")


def run_sweep(plan: Plan, sweep: Sweep) -> Iterator[Figures]:
    """Measure rate after rate, until the highest that is served is known.

    Raises:
        StoppedError: on Ctrl-C.
    """
    while not sweep.is_done:
        step = replace(plan, rate_per_s=sweep.rate_per_s, fewest=_FEWEST_OF_STEP)
        figures = run_phase(step, _describe(step))
        sweep.note(is_served=figures.meets(plan.slo_ms))
        yield figures


def run_phase(plan: Plan, name: str, settle_s: float = 0.0) -> Figures:
    """Put the load on and take it off.

    Raises:
        StoppedError: on Ctrl-C.
    """
    drive = Drive(plan.work, _span(plan, settle_s))
    try:
        drive.start()
        drive.wait()
    except KeyboardInterrupt as error:
        drive.stop()
        raise StoppedError(drive.figures(name, plan.rate_per_s)) from error
    return drive.figures(name, plan.rate_per_s)


@contextmanager
def other_work(work: Work) -> Iterator[Drive]:
    """Keep a server busy with something else meanwhile."""
    drive = Drive(work, Span(_BULK_S))
    drive.start()
    try:
        yield drive
    finally:
        drive.stop()


def _span(plan: Plan, settle_s: float) -> Span:
    warmup_s = plan.warmup_s + settle_s
    duration_s = warmup_s + plan.duration_s
    if plan.rate_per_s is None:
        return Span(duration_s, warmup_s)
    moments_s = arrivals(
        plan.rate_per_s,
        duration_s,
        is_poisson=plan.is_poisson,
        seed=_SEED,
        warmup_s=warmup_s,
        fewest=plan.fewest,
    )
    return Span(max(duration_s, moments_s[-1]), warmup_s, moments_s)


def _describe(plan: Plan) -> str:
    if plan.rate_per_s is None:
        return f"{plan.work.num_connections} clients"
    return f"{plan.rate_per_s:.4g} requests/s"
