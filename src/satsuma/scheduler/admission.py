"""May a request wait here? Pure: expected seconds against the deadline, tokens against a limit."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass

from satsuma.errors import OverloadedError, TooMuchWorkError

# A request may be expected to take this many deadlines before it is refused for its size: the
# measured rate may be wrong by as much.
MAX_EXPECTED_DEADLINES = 1.5

# Up to this part of the deadline a request is small: there is room for it that big ones leave free.
SMALL_SHARE = 0.02

# What waits may take this part of the deadline, so that all of it is in time though the engine
# turns out slower than it was measured (docs/decisions/0018-accepted-is-in-time.md). Small requests
# may fill the room a little further: bulk work alone does not keep them out.
ROOM_SHARE = 0.6
SMALL_ROOM_SHARE = 0.7


def engine_seconds(num_tokens: int, rate_tokens_per_s: float) -> float:
    """How long an engine needs; 0 before its rate was ever measured."""
    return num_tokens / rate_tokens_per_s if rate_tokens_per_s else 0.0


@dataclass(frozen=True, slots=True)
class WaitingRoom:
    """The state that an admission is decided on.

    Attributes:
        waiting_tokens: tokens admitted and not done, of all models.
        waiting_s: how long the engine needs for them, at the measured rates.
        requests_s: how long it needs for what waits of each request.
    """

    waiting_tokens: int
    waiting_s: float
    requests_s: tuple[float, ...] = ()

    @classmethod
    def holding(
        cls, begun: Iterable[tuple[int, float]], requests: Iterable[tuple[int, float]]
    ) -> WaitingRoom:
        """Add up pieces of work: (tokens, their encoder's tokens a second or 0 if unmeasured).

        Args:
            begun: what runs.
            requests: what waits of each request.
        """
        pieces, waiting = list(begun), list(requests)
        requests_s = tuple(engine_seconds(num_tokens, rate) for num_tokens, rate in waiting)
        return cls(
            waiting_tokens=sum(num_tokens for num_tokens, _ in pieces + waiting),
            waiting_s=sum(itertools.starmap(engine_seconds, pieces)) + sum(requests_s),
            requests_s=requests_s,
        )

    def bounded_s(self, most_s: float) -> float:
        """How long the engine needs for what waits, if no request counts for more than that."""
        begun_s = self.waiting_s - sum(self.requests_s)
        return begun_s + sum(min(one, most_s) for one in self.requests_s)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may wait.

    Attributes:
        deadline_s: a request that could not be done by then is refused at once.
        max_waiting_tokens: a fixed limit besides; 0 for none.
    """

    deadline_s: float
    max_waiting_tokens: int


def fits_behind_all(
    waiting: tuple[int, float], limits: Limits, *, new_tokens: int, new_s: float
) -> bool:
    """Tell whether a request is done in time even after all that waits: `admit` lets it in then.

    The common case, decided without a look at each request.

    Args:
        waiting: tokens admitted and not done, and how long the engine needs for them.
        limits: how much may wait.
        new_tokens: the request's tokens.
        new_s: how long the engine needs for them.
    """
    num_tokens, engine_s = waiting
    has_room = num_tokens + new_tokens <= (limits.max_waiting_tokens or math.inf)
    return has_room and engine_s + new_s <= ROOM_SHARE * limits.deadline_s


def admit(
    room: WaitingRoom, limits: Limits, *, new_tokens: int, new_s: float, least_s: float
) -> None:
    """Let a request in, or say when to come again.

    A request that no idle engine could do is refused for good; else an empty room takes any. Who is
    let in can be done in time without making anybody late who was let in before: the scheduler
    sees to the order (`policy.find_pressed`).

    Args:
        room: what waits already.
        limits: how much may.
        new_tokens: the request's tokens.
        new_s: how long the engine needs for them.
        least_s: how long it would at its best.

    Raises:
        OverloadedError: with the seconds after which there should be room.
        TooMuchWorkError: if it would take too long by itself.
    """
    if least_s > MAX_EXPECTED_DEADLINES * limits.deadline_s:
        raise TooMuchWorkError(
            f"about {new_tokens} tokens take {least_s:.0f} s here, and a request may take "
            f"{limits.deadline_s:g} s; send fewer texts at a time"
        )
    if room.waiting_tokens == 0:
        return
    late_s = _late_s(room, limits.deadline_s, new_s)
    surplus_tokens = room.waiting_tokens + new_tokens - (limits.max_waiting_tokens or math.inf)
    if late_s > 0 or surplus_tokens > 0:
        surplus_s = surplus_tokens * room.waiting_s / room.waiting_tokens
        retry_after_s = min(max(late_s, surplus_s), room.waiting_s)
        raise OverloadedError(
            "The waiting room is full.", retry_after_s=max(1.0, math.ceil(retry_after_s))
        )


def _late_s(room: WaitingRoom, deadline_s: float, new_s: float) -> float:
    """By how much what waits and a newcomer exceed what may wait.

    A request that was tried though it needs more than a deadline does not keep small ones out.
    """
    most_s = ROOM_SHARE * deadline_s
    if new_s > SMALL_SHARE * deadline_s:
        return room.waiting_s + new_s - most_s
    return room.bounded_s(most_s) + new_s - SMALL_ROOM_SHARE * deadline_s
