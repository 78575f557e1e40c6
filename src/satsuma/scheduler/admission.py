"""May a request wait here? Pure: expected seconds against the deadline, tokens against a limit."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from satsuma.errors import OverloadedError


def engine_seconds(num_tokens: int, rate_tokens_per_s: float) -> float:
    """How long an engine needs; 0 before its rate was ever measured."""
    return num_tokens / rate_tokens_per_s if rate_tokens_per_s else 0.0


@dataclass(frozen=True, slots=True)
class WaitingRoom:
    """The state that an admission is decided on.

    Attributes:
        waiting_tokens: tokens admitted and not done, of all models.
        waiting_s: how long the engine needs for them, at the measured rates.
    """

    waiting_tokens: int
    waiting_s: float

    @classmethod
    def holding(cls, work: Iterable[tuple[int, float]]) -> WaitingRoom:
        """Add up pieces of work: (tokens, their encoder's tokens a second or 0 if unmeasured)."""
        pieces = list(work)
        return cls(
            waiting_tokens=sum(num_tokens for num_tokens, _ in pieces),
            waiting_s=sum(engine_seconds(num_tokens, rate) for num_tokens, rate in pieces),
        )


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may wait.

    Attributes:
        deadline_s: a request that could not be done by then is refused at once.
        max_waiting_tokens: a fixed limit besides; 0 for none.
    """

    deadline_s: float
    max_waiting_tokens: int


def admit(room: WaitingRoom, limits: Limits, *, new_tokens: int, new_s: float) -> None:
    """Let a request in, or say when to come again.

    An empty room takes any request: refusing it would refuse it for ever.

    Args:
        room: what waits already.
        limits: how much may.
        new_tokens: the request's tokens.
        new_s: how long the engine needs for them.

    Raises:
        OverloadedError: with the seconds after which there should be room.
    """
    if room.waiting_tokens == 0:
        return
    late_s = room.waiting_s + new_s - limits.deadline_s
    surplus_tokens = room.waiting_tokens + new_tokens - (limits.max_waiting_tokens or math.inf)
    if late_s > 0 or surplus_tokens > 0:
        surplus_s = surplus_tokens * room.waiting_s / room.waiting_tokens
        retry_after_s = min(max(late_s, surplus_s), room.waiting_s)
        raise OverloadedError(
            "The waiting room is full.", retry_after_s=max(1.0, math.ceil(retry_after_s))
        )
