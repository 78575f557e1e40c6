"""Choosing an engine and dividing the cores among its runs."""

from __future__ import annotations

import os

import pytest

from satsuma.engine.backends import plan_lanes
from satsuma.engine.native.crews import Crews
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


def test_each_lane_has_helpers_of_its_own() -> None:
    """And a run that finds none idle goes on alone."""
    crews = Crews(plan_places(3, 2, []))
    with (
        crews.lend(Width.ONE_LANE) as one,
        crews.lend(Width.ONE_LANE) as other,
        crews.lend(Width.ONE_LANE) as third,
        crews.lend(Width.ALL_CORES) as wide,
    ):
        assert sorted(crew.num_workers for crew in (one, other)) == [1, 2]
        assert third.num_workers == 1
        assert wide.num_workers == 3
        assert len({id(crew) for crew in (one, other, third, wide)}) == 4
    with crews.lend(Width.ONE_LANE) as again, crews.lend(Width.ONE_LANE) as more:
        assert {again.num_workers, more.num_workers} == {1, 2}


def test_the_express_lane_takes_no_lane_s_crew() -> None:
    """A lane that comes back from the queue finds its helpers."""
    crews = Crews(plan_places(2, 1, []))
    with crews.lend(Width.ONE_CORE) as express, crews.lend(Width.ONE_LANE) as lane:
        assert (express.num_workers, lane.num_workers) == (1, 2)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no affinity on this system")
def test_a_run_stays_by_its_cache() -> None:
    """The caller is where its crew is, and free again afterwards."""
    free = os.sched_getaffinity(0)
    near = frozenset({min(free)})
    crews = Crews(Places((Place(1, near),), Place(1, frozenset(free))))
    with crews.lend(Width.ONE_LANE):
        assert os.sched_getaffinity(0) == near
    assert os.sched_getaffinity(0) == free


def test_a_large_workspace_is_let_go() -> None:
    """One long text does not cost its memory for ever; ordinary ones find theirs again."""
    crews = Crews(plan_places(1, 1, []))
    with crews.lend(Width.ONE_LANE) as crew:
        kept = crew.take_workspace(1000)
    with crews.lend(Width.ONE_LANE) as crew:
        assert crew.take_workspace(900) is kept
        crew.take_workspace(65 * 2**20)
    assert crew.workspace.nbytes == 0
