"""Who has to go first so that all are in time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from satsuma.scheduler.policy import PRESSED_SHARE, find_pressed

DEADLINE_S = 100.0


def test_nobody_is_pressed_while_there_is_time() -> None:
    """Fair turns go on."""
    assert find_pressed([(10.0, 20.0), (0.0, 30.0)], 5.0, DEADLINE_S) is None


def test_the_oldest_goes_first_for_those_behind_it() -> None:
    """Whoever is pressed, the order of arrival is what makes all of them in time."""
    assert find_pressed([(30.0, 10.0), (25.0, 40.0)], 0.0, DEADLINE_S) == 0


def test_what_runs_counts() -> None:
    """It has the engine until it is done."""
    assert find_pressed([(30.0, 30.0)], 0.0, DEADLINE_S) is None
    assert find_pressed([(30.0, 30.0)], 15.0, DEADLINE_S) == 0


def test_who_is_late_anyway_presses_nobody() -> None:
    """It has its turns, and the next that can be in time goes first."""
    assert find_pressed([(60.0, 50.0)], 0.0, DEADLINE_S) is None
    assert find_pressed([(60.0, 50.0), (50.0, 25.0)], 0.0, DEADLINE_S) == 1


@given(st.lists(st.tuples(st.floats(0, 99), st.floats(0.01, 50)), max_size=12))
def test_whoever_could_be_in_time_still_is(requests: list[tuple[float, float]]) -> None:
    """If nobody is pressed, each of them in order of arrival ends with time to spare."""
    requests.sort(reverse=True)
    if find_pressed(requests, 0.0, DEADLINE_S) is not None:
        return
    before_s = 0.0
    for age_s, needed_s in requests:
        if needed_s <= DEADLINE_S - age_s:
            before_s += needed_s
            assert age_s + before_s <= (1 - PRESSED_SHARE) * DEADLINE_S + 1e-6
