"""Whose request it is that embeds: its quotas before, and what it used after.

Stands behind authentication, so that nobody uses up another's minute.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from satsuma.api.identity import token_record
from satsuma.api.metering import notes_of
from satsuma.api.paths import account_of, embeds
from satsuma.api.ports import QuotaKeeper
from satsuma.settings import Settings
from satsuma.usage.ledger import Ledger
from satsuma.usage.limiter import Holders
from satsuma.usage.quotas import WINDOW_S, Limits, Standing

_NOBODY: Final = "local"  # where the path names no account, and no token was asked for


class Accounting:
    """Holds every request that embeds to its account's quotas, and its token's."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        settings: Settings,
        ledger: Ledger | None,
        limiter: QuotaKeeper,
    ) -> None:
        """Stand before `app`.

        Args:
            app: answers.
            settings: an account's quotas.
            ledger: gets what was used; None keeps nothing.
            limiter: keeps the quotas.
        """
        self._app = app
        self._limits = Limits(settings.requests_per_minute, settings.tokens_per_minute)
        self._ledger = ledger
        self._limiter = limiter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through, or say when it may come again."""
        if scope["type"] != "http" or not embeds(scope["path"]):
            await self._app(scope, receive, send)
            return
        account = self._account(scope)
        holders = self._holders(scope, account)
        if holders:
            await self._limiter.admit(holders)

        async def send_with_standings(message: Message) -> None:
            if message["type"] == "http.response.start":
                standings = await self._settle(scope, account, holders)
                headers = [*message.get("headers", ()), *_headers(standings)]
                message = {**message, "headers": headers}
            await send(message)

        await self._app(scope, receive, send_with_standings)

    def _account(self, scope: Scope) -> str:
        record = token_record(scope)
        if record is not None:
            return record.account
        return account_of(scope["path"]) or _NOBODY

    def _holders(self, scope: Scope, account: str) -> Holders:
        """List whose quotas count, and what they are; who has none is left out."""
        record = token_record(scope)
        holders = [(f"account {account}", self._limits)]
        if record is not None:
            limits = Limits(record.requests_per_minute, record.tokens_per_minute)
            holders.append((f"token {record.id}", limits))
        return [(who, limits) for who, limits in holders if limits != Limits()]

    async def _settle(self, scope: Scope, account: str, holders: Holders) -> Sequence[Standing]:
        """Charge what was embedded; a request that failed costs no tokens."""
        notes, num_tokens = notes_of(scope), 0
        if notes.result is not None:
            num_tokens = notes.result.usage.prompt_tokens
            if self._ledger is not None:
                self._ledger.note(account, notes.model, len(notes.result.vectors), num_tokens)
        return await self._limiter.settle(holders, num_tokens) if holders else ()


def _headers(standings: Sequence[Standing]) -> Iterator[tuple[bytes, bytes]]:
    """Tell what is left, of the quotas that are nearest to their end."""
    nearest: dict[str, Standing] = {}
    for one in standings:
        other = nearest.get(one.name)
        if other is None or one.remaining < other.remaining:
            nearest[one.name] = one
    if nearest:
        policy = ", ".join(f'"{one.name}";q={one.quota};w={WINDOW_S}' for one in nearest.values())
        left = ", ".join(
            f'"{one.name}";r={one.remaining};t={one.reset_s}' for one in nearest.values()
        )
        yield b"ratelimit-policy", policy.encode()
        yield b"ratelimit", left.encode()
