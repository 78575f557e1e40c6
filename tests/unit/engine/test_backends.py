"""Choosing an engine and dividing the cores among its runs."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

import numpy as np
import pytest

from satsuma.engine.backends import plan_lanes
from satsuma.engine.native.crews import Crew, Crews
from satsuma.engine.protocol import Width
from satsuma.engine.topology import Place, Places, plan_places
from satsuma.settings import load_settings


@pytest.mark.parametrize(
    ("threads", "lanes", "expected"), [(8, 0, 8), (8, 2, 2), (8, 3, 3), (2, 1, 1), (2, 9, 2)]
)
def test_lanes_are_the_setting_or_the_cores(threads: int, lanes: int, expected: int) -> None:
    """A lane has at least a core."""
    settings = load_settings({"threads": threads, "lanes": lanes}, environ={})
    assert plan_lanes(settings).num_lanes == expected


def lend_at_once(crews: Crews, *widths: Width) -> list[Crew]:
    """Lend crews for several runs, each begun while those before it go on."""
    lent: list[Crew] = []

    def begin(crew: Crew) -> None:
        lent.append(crew)
        if len(lent) < len(widths):
            crews.lend(widths[len(lent)], begin)

    crews.lend(widths[0], begin)
    return lent


def test_each_lane_has_helpers_of_its_own() -> None:
    """And a run that finds none idle goes on alone."""
    crews = Crews(plan_places(3, 2, []))
    one, other, third, wide = lend_at_once(crews, *[Width.ONE_LANE] * 3, Width.ALL_CORES)
    assert sorted(crew.num_workers for crew in (one, other)) == [1, 2]
    assert third.num_workers == 1
    assert wide.num_workers == 3
    assert len({id(crew) for crew in (one, other, third, wide)}) == 4
    again, more = lend_at_once(crews, Width.ONE_LANE, Width.ONE_LANE)
    assert {again.num_workers, more.num_workers} == {1, 2}


def test_the_express_lane_takes_no_lane_s_crew() -> None:
    """A lane that comes back from the queue finds its helpers."""
    crews = Crews(plan_places(2, 1, []))
    express, lane = lend_at_once(crews, Width.ONE_CORE, Width.ONE_LANE)
    assert (express.num_workers, lane.num_workers) == (1, 2)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no affinity on this system")
def test_a_run_stays_by_its_cache() -> None:
    """The caller is where its crew is, and free again afterwards."""
    free = os.sched_getaffinity(0)
    near = frozenset({min(free)})
    crews = Crews(Places((Place(1, near),), Place(1, frozenset(free))))
    seen: list[set[int]] = []
    crews.lend(Width.ONE_LANE, lambda _: seen.append(os.sched_getaffinity(0)))
    assert seen == [near]
    assert os.sched_getaffinity(0) == free


def test_a_large_workspace_is_let_go() -> None:
    """One long text does not cost its memory for ever; ordinary ones find theirs again."""
    crews = Crews(plan_places(1, 1, []))
    wanted, sizes = iter((1000, 900, 65 * 2**20, 900)), list[int]()

    def work(crew: Crew) -> None:
        sizes.append(crew.take_workspace(next(wanted)).nbytes)

    for _ in range(4):
        crews.lend(Width.ONE_LANE, work)
    assert sizes == [1000, 1000, 65 * 2**20, 900]


def test_who_finds_no_crew_goes_on_alone() -> None:
    """And the crew is there for the next one, also after an error."""
    crews = Crews(plan_places(2, 1, []))
    workers: list[int] = []

    def work(crew: Crew) -> None:
        workers.append(crew.num_workers)
        if len(workers) < 3:
            crews.lend(Width.ALL_CORES, work)
        raise InterruptedError

    for _ in range(2):
        workers.clear()
        with pytest.raises(InterruptedError):
            crews.lend(Width.ALL_CORES, work)
        assert workers == [2, 1, 1]


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="signals at a moment are POSIX's")
def test_ctrl_c_at_any_moment_leaves_the_crew() -> None:
    """Else every later run that is to have all cores would have one."""
    crews = Crews(plan_places(2, 1, []))
    workers: list[int] = []

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for moment in np.random.default_rng(0).uniform(1e-6, 60e-6, 2000).tolist():
            with suppress(KeyboardInterrupt):
                signal.setitimer(signal.ITIMER_REAL, moment)
                crews.lend(Width.ALL_CORES, lambda crew: workers.append(crew.num_workers))
                signal.setitimer(signal.ITIMER_REAL, 0)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert set(workers) == {2}
