"""The quotas of everybody who asks one server, by one clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeAlias

from satsuma.errors import RateLimitedError
from satsuma.usage.quotas import Limits, Quotas, Standing

Holders: TypeAlias = Sequence[tuple[str, Limits]]  # who has quotas, and which


class Limiter:
    """Holds requests to quotas. Belongs to one event loop.

    Its methods are coroutines for the sake of those who ask it from another process.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with every minute unused.

        Args:
            clock: seconds, monotonic; tests give their own.
        """
        self._clock = clock
        self._quotas = Quotas()

    async def admit(self, holders: Holders) -> None:
        """Count a request that is made.

        Raises:
            RateLimitedError: if one of them has used up the minute's; then it counts for none.
        """
        now_s = self._clock()
        waits_s = [self._quotas.wait_s(who, limits, now_s) for who, limits in holders]
        if any(waits_s):
            raise RateLimitedError("The minute's quota is used up.", retry_after_s=max(waits_s))
        for who, limits in holders:
            self._quotas.take_request(who, limits, now_s)

    async def settle(self, holders: Holders, num_tokens: int) -> list[Standing]:
        """Charge the tokens that were embedded, and say what is left of every quota."""
        now_s = self._clock()
        for who, limits in holders:
            self._quotas.charge(who, limits, num_tokens, now_s)
        return [
            one for who, limits in holders for one in self._quotas.standings(who, limits, now_s)
        ]
