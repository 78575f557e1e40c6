"""Whose request it is that embeds: its quotas before, and what it used after.

Stands behind authentication, so that nobody uses up another's minute.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from satsuma.api.identity import token_record
from satsuma.api.metering import notes_of
from satsuma.api.paths import account_of, embeds
from satsuma.errors import RateLimitedError
from satsuma.settings import Settings
from satsuma.usage.ledger import Ledger
from satsuma.usage.quotas import WINDOW_S, Limits, Quotas, Standing

_NOBODY: Final = "local"  # where the path names no account, and no token was asked for
_Holders = list[tuple[str, Limits]]  # of quotas


class Accounting:
    """Holds every request that embeds to its account's quotas, and its token's."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        settings: Settings,
        ledger: Ledger | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Stand before `app`.

        Args:
            app: answers.
            settings: an account's quotas.
            ledger: gets what was used; None keeps nothing.
            clock: seconds, monotonic; tests give their own.
        """
        self._app = app
        self._limits = Limits(settings.requests_per_minute, settings.tokens_per_minute)
        self._ledger = ledger
        self._clock = clock
        self._quotas = Quotas()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through, or say when it may come again."""
        if scope["type"] != "http" or not embeds(scope["path"]):
            await self._app(scope, receive, send)
            return
        account = self._account(scope)
        holders = self._holders(scope, account)
        self._admit(holders)

        async def send_with_standings(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._settle(scope, account, holders)
                headers = [*message.get("headers", ()), *self._headers(holders)]
                message = {**message, "headers": headers}
            await send(message)

        await self._app(scope, receive, send_with_standings)

    def _account(self, scope: Scope) -> str:
        record = token_record(scope)
        if record is not None:
            return record.account
        return account_of(scope["path"]) or _NOBODY

    def _holders(self, scope: Scope, account: str) -> _Holders:
        """List whose quotas count, and what they are; who has none is left out."""
        record = token_record(scope)
        holders = [(f"account {account}", self._limits)]
        if record is not None:
            limits = Limits(record.requests_per_minute, record.tokens_per_minute)
            holders.append((f"token {record.id}", limits))
        return [(who, limits) for who, limits in holders if limits != Limits()]

    def _admit(self, holders: _Holders) -> None:
        now_s = self._clock()
        waits_s = [self._quotas.wait_s(who, limits, now_s) for who, limits in holders]
        if any(waits_s):
            raise RateLimitedError("The minute's quota is used up.", retry_after_s=max(waits_s))
        for who, limits in holders:
            self._quotas.take_request(who, limits, now_s)

    def _settle(self, scope: Scope, account: str, holders: _Holders) -> None:
        """Charge what was embedded; a request that failed costs no tokens."""
        notes = notes_of(scope)
        if notes.result is None:
            return
        num_tokens = notes.result.usage.prompt_tokens
        for who, limits in holders:
            self._quotas.charge(who, limits, num_tokens, self._clock())
        if self._ledger is not None:
            self._ledger.note(account, notes.model, len(notes.result.vectors), num_tokens)

    def _headers(self, holders: _Holders) -> Iterator[tuple[bytes, bytes]]:
        """Tell what is left, of the quotas that are nearest to their end."""
        standings: dict[str, Standing] = {}
        for who, limits in holders:
            for one in self._quotas.standings(who, limits, self._clock()):
                other = standings.get(one.name)
                if other is None or one.remaining < other.remaining:
                    standings[one.name] = one
        if standings:
            policy = ", ".join(
                f'"{one.name}";q={one.quota};w={WINDOW_S}' for one in standings.values()
            )
            left = ", ".join(
                f'"{one.name}";r={one.remaining};t={one.reset_s}' for one in standings.values()
            )
            yield b"ratelimit-policy", policy.encode()
            yield b"ratelimit", left.encode()
