"""Choosing an engine and dividing the cores among its runs."""

from __future__ import annotations

import pytest

from satsuma.engine import backends
from satsuma.engine.backends import count_lanes
from satsuma.engine.native.crews import Crews
from satsuma.engine.protocol import Width
from satsuma.settings import load_settings


@pytest.mark.parametrize(
    ("threads", "lanes", "expected"), [(8, 0, 8), (8, 2, 2), (8, 3, 3), (2, 1, 1), (2, 9, 2)]
)
def test_lanes_are_the_setting_or_the_cores(threads: int, lanes: int, expected: int) -> None:
    """A lane has at least a core."""
    settings = load_settings({"threads": threads, "lanes": lanes}, environ={})
    assert count_lanes(settings) == expected


@pytest.mark.parametrize(
    ("threads", "lanes", "expected"),
    [(8, 0, (1, 8)), (8, 2, (4, 8)), (8, 1, (8, 8)), (2, 0, (1, 2))],
)
def test_cores_of_a_run(threads: int, lanes: int, expected: tuple[int, int]) -> None:
    """By its width: a lane's, and all."""
    shares = backends.share_cores(load_settings({"threads": threads, "lanes": lanes}, environ={}))
    assert (shares[Width.ONE_LANE], shares[Width.ALL_CORES]) == expected


def test_each_lane_has_helpers_of_its_own() -> None:
    """And a run that finds none idle goes on alone."""
    crews = Crews({Width.ONE_LANE: 2, Width.ALL_CORES: 3}, num_lanes=2)
    with (
        crews.lend(Width.ONE_LANE) as one,
        crews.lend(Width.ONE_LANE) as other,
        crews.lend(Width.ONE_LANE) as third,
        crews.lend(Width.ALL_CORES) as wide,
    ):
        assert [crew.num_workers for crew in (one, other, third, wide)] == [2, 2, 1, 3]
        assert one.helpers != other.helpers
    with crews.lend(Width.ONE_LANE) as again:
        assert again.num_workers == 2
