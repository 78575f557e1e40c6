"""The quotas of everybody who asks one server, by one clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeAlias

from satsuma.errors import RateLimitedError
from satsuma.usage.quotas import Limits, QuotaName, Quotas, Standing

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
        self._take(holders, "requests", 1)

    async def hold(self, holders: Holders, num_tokens: int) -> None:
        """Take about as many tokens as a request has, before it has its answer.

        A single one that is left is enough: what is taken beyond that is a debt.

        Raises:
            RateLimitedError: if one of them has none left; then nothing is taken.
        """
        self._take(holders, "tokens", num_tokens)

    async def settle(self, holders: Holders, num_tokens: int) -> list[Standing]:
        """Charge the tokens that were not held, and say what is left of every quota.

        Args:
            holders: whose quotas.
            num_tokens: below 0 for what is given back, since too many were held.
        """
        now_s = self._clock()
        for who, limits in holders:
            self._quotas.take(who, limits, "tokens", num_tokens, now_s)
        return [
            one for who, limits in holders for one in self._quotas.standings(who, limits, now_s)
        ]

    def _take(self, holders: Holders, name: QuotaName, amount: int) -> None:
        now_s = self._clock()
        waits_s = [self._quotas.wait_s(who, limits, name, now_s) for who, limits in holders]
        if any(waits_s):
            message = f"The minute's quota of {name} is used up."
            raise RateLimitedError(message, retry_after_s=max(waits_s))
        for who, limits in holders:
            self._quotas.take(who, limits, name, amount, now_s)
