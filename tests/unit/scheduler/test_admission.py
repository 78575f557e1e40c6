"""Who may wait."""

from __future__ import annotations

import pytest

from satsuma.errors import OverloadedError
from satsuma.scheduler.admission import Limits, WaitingRoom, admit

LIMITS = Limits(deadline_s=60.0, max_waiting_tokens=0)


def test_an_empty_room_takes_any_request() -> None:
    """A request that needs longer than the deadline is not refused for ever."""
    admit(WaitingRoom(0, 0.0), LIMITS, new_tokens=10**9, new_s=1000.0)


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
        admit(WaitingRoom(1000, 10.0), LIMITS, new_tokens=10**6, new_s=10_000.0)
    assert caught.value.retry_after_s == 10.0


def test_a_fixed_limit_holds_besides() -> None:
    """Tokens above max_waiting_tokens are refused, with at least a second to wait."""
    limits = Limits(deadline_s=60.0, max_waiting_tokens=1000)
    admit(WaitingRoom(900, 1.0), limits, new_tokens=100, new_s=0.1)
    with pytest.raises(OverloadedError) as caught:
        admit(WaitingRoom(900, 1.0), limits, new_tokens=101, new_s=0.1)
    assert caught.value.retry_after_s == 1.0
