"""Who may wait."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from satsuma.errors import OverloadedError, TooMuchWorkError
from satsuma.scheduler.admission import Limits, WaitingRoom, admit, fits_behind_all

LIMITS = Limits(deadline_s=100.0, max_waiting_tokens=0)


def ask(
    room: WaitingRoom,
    new_s: float,
    *,
    new_tokens: int = 100,
    limits: Limits = LIMITS,
    least_s: float = 0.0,
) -> None:
    """Try a request."""
    admit(room, limits, new_tokens=new_tokens, new_s=new_s, least_s=least_s or new_s)


def test_an_empty_room_takes_what_may_be_done_in_time() -> None:
    """The measured rate may be wrong, so a request somewhat above the deadline is tried."""
    ask(WaitingRoom(0, 0.0), 149.0)


def test_what_no_idle_engine_could_do_is_refused_for_good() -> None:
    """In words that say what would do; coming again would not help."""
    with pytest.raises(TooMuchWorkError, match=r"about 1000000 tokens take 151 s here.* 100 s"):
        ask(WaitingRoom(0, 0.0), 151.0, new_tokens=10**6)


def test_a_slow_hour_refuses_nothing_for_good() -> None:
    """What an engine could do at its best is tried, or told to come again."""
    ask(WaitingRoom(0, 0.0), 1000.0, least_s=100.0)
    with pytest.raises(OverloadedError):
        ask(WaitingRoom(10, 0.1), 1000.0, least_s=100.0)


def test_bulk_work_leaves_room_for_small_requests() -> None:
    """A big one that would exceed the common part is refused where a small one is not."""
    room = WaitingRoom(100_000, 59.0, requests_s=(30.0, 29.0))
    ask(room, 1.9)
    with pytest.raises(OverloadedError):
        ask(room, 2.1)


def test_a_request_that_fills_the_room_alone_keeps_no_small_one_out() -> None:
    """It was tried on an empty engine; nobody promised that it would be in time."""
    room = WaitingRoom(200_000, 140.0, requests_s=(140.0,))
    ask(room, 0.1)
    with pytest.raises(OverloadedError):
        ask(room, 5.0)


def test_many_small_requests_fill_the_room_too() -> None:
    """All of them have to be done in time."""
    room = WaitingRoom(60_000, 69.0, requests_s=(1.0,) * 69)
    ask(room, 0.9)
    with pytest.raises(OverloadedError):
        ask(room, 1.1)


def test_what_has_begun_counts_whole() -> None:
    """However big the requests are that it is of."""
    assert WaitingRoom(0, 10.0, requests_s=(4.0, 1.0)).bounded_s(2.0) == 5.0 + 2.0 + 1.0


def test_a_request_that_can_be_done_in_time_is_admitted() -> None:
    """Up to the limit exactly."""
    ask(WaitingRoom(1000, 50.0), 10.0)


def test_one_that_cannot_is_told_when_to_come_again() -> None:
    """Retry-After is the time by which it would be late, in whole seconds."""
    with pytest.raises(OverloadedError) as caught:
        ask(WaitingRoom(1000, 58.0), 5.5)
    assert caught.value.retry_after_s == 4.0


def test_the_wait_never_exceeds_what_is_in_the_room() -> None:
    """A huge request is told to come when the room is empty, not later."""
    with pytest.raises(OverloadedError) as caught:
        ask(WaitingRoom(1000, 10.0), 80.0)
    assert caught.value.retry_after_s == 10.0


def test_a_fixed_limit_holds_besides() -> None:
    """Tokens above max_waiting_tokens are refused, with at least a second to wait."""
    limits = Limits(deadline_s=60.0, max_waiting_tokens=1000)
    ask(WaitingRoom(900, 1.0), 0.1, new_tokens=100, limits=limits)
    with pytest.raises(OverloadedError) as caught:
        ask(WaitingRoom(900, 1.0), 0.1, new_tokens=101, limits=limits)
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
        ask(room, new_s, new_tokens=new_tokens, limits=limits)
