"""Who may wait."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from satsuma.errors import OverloadedError, TooMuchWorkError
from satsuma.scheduler.admission import Limits, WaitingRoom, admit, fits_behind_all

LIMITS = Limits(deadline_s=60.0, max_waiting_tokens=0)


def test_an_empty_room_takes_what_may_be_done_in_time() -> None:
    """The measured rate may be wrong, so a request somewhat above the deadline is tried."""
    admit(WaitingRoom(0, 0.0), LIMITS, new_tokens=10**5, new_s=89.0)


def test_what_no_idle_engine_could_do_is_refused_for_good() -> None:
    """In words that say what would do; coming again would not help."""
    with pytest.raises(TooMuchWorkError, match=r"about 1000000 tokens take 91 s here.* 60 s"):
        admit(WaitingRoom(0, 0.0), LIMITS, new_tokens=10**6, new_s=91.0)


def test_a_small_request_is_let_in_past_a_big_one() -> None:
    """They take turns, so the big one's size is not its wait."""
    room = WaitingRoom(100_000, 80.0, requests_s=(79.0,))
    admit(room, LIMITS, new_tokens=10, new_s=0.01)
    with pytest.raises(OverloadedError):
        admit(room, LIMITS, new_tokens=5_000, new_s=5.0)


def test_many_small_requests_fill_the_room_too() -> None:
    """Each of them has its turn before a newcomer is done."""
    room = WaitingRoom(60_000, 59.0, requests_s=(1.0,) * 59)
    admit(room, LIMITS, new_tokens=10, new_s=0.01)
    with pytest.raises(OverloadedError):
        admit(room, LIMITS, new_tokens=1_100, new_s=1.1)


def test_what_has_begun_is_waited_for_whole() -> None:
    """A newcomer cannot take turns with what runs."""
    assert WaitingRoom(0, 10.0, requests_s=(4.0, 1.0)).turn_s(2.0) == 5.0 + 2.0 + 1.0 + 2.0


def test_a_request_that_can_be_done_in_time_is_admitted() -> None:
    """Up to the deadline exactly."""
    admit(WaitingRoom(1000, 50.0), LIMITS, new_tokens=100, new_s=10.0)


def test_one_that_cannot_is_told_when_to_come_again() -> None:
    """Retry-After is the time by which it would be late, in whole seconds."""
    with pytest.raises(OverloadedError) as caught:
        admit(WaitingRoom(1000, 58.0), LIMITS, new_tokens=100, new_s=5.5)
    assert caught.value.retry_after_s == 4.0


def test_the_wait_never_exceeds_what_is_in_the_room() -> None:
    """A huge request is told to come when the room is empty, not later."""
    with pytest.raises(OverloadedError) as caught:
        admit(WaitingRoom(1000, 10.0), LIMITS, new_tokens=10**6, new_s=80.0)
    assert caught.value.retry_after_s == 10.0


def test_a_fixed_limit_holds_besides() -> None:
    """Tokens above max_waiting_tokens are refused, with at least a second to wait."""
    limits = Limits(deadline_s=60.0, max_waiting_tokens=1000)
    admit(WaitingRoom(900, 1.0), limits, new_tokens=100, new_s=0.1)
    with pytest.raises(OverloadedError) as caught:
        admit(WaitingRoom(900, 1.0), limits, new_tokens=101, new_s=0.1)
    assert caught.value.retry_after_s == 1.0


@given(
    st.lists(st.integers(1, 30_000), max_size=20),
    st.lists(st.integers(1, 600), max_size=3),
    st.integers(1, 30_000),
    st.sampled_from([0, 5_000, 100_000]),
)
def test_the_short_way_lets_in_none_that_the_long_one_refuses(
    requests: list[int], begun: list[int], new_tokens: int, max_waiting_tokens: int
) -> None:
    """What fits behind all that waits is admitted however the turns are taken."""
    rate = 1_000.0
    limits = Limits(60.0, max_waiting_tokens)
    room = WaitingRoom.holding([(n, rate) for n in begun], [(n, rate) for n in requests])
    new_s, totals = new_tokens / rate, (room.waiting_tokens, room.waiting_s)
    if fits_behind_all(totals, limits, new_tokens=new_tokens, new_s=new_s):
        admit(room, limits, new_tokens=new_tokens, new_s=new_s)
