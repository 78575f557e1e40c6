"""Whose request it is that embeds: its quotas before, and what it used after.

Stands behind authentication, so that nobody uses up another's minute. A request counts when it
comes. Its tokens are guessed and taken when its texts are known, so that those under way count for
the next, and at the answer the guess is mended.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from satsuma.api.identity import token_record
from satsuma.api.metering import RequestNotes, notes_of
from satsuma.api.middleware import ErrorEnvelopes
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

        async def send_noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._note(account, notes_of(scope))
            await send(message)

        if holders:
            await self._answer_limited(holders, scope, receive, send_noting)
        else:
            await self._app(scope, receive, send_noting)

    async def _answer_limited(
        self, holders: Holders, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Answer within quotas. Refusals become answers here, for they tell what is left too."""
        bill = _Bill(self._limiter, holders, notes_of(scope))

        async def admitted(scope: Scope, receive: Receive, send: Send) -> None:
            await self._limiter.admit(holders)
            await self._app(scope, receive, send)

        async def send_with_standings(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", ()), *_headers(await bill.settle())]
                message = {**message, "headers": headers}
            await send(message)

        try:
            await ErrorEnvelopes(admitted)(scope, receive, send_with_standings)
        finally:
            if bill.num_held:  # nobody was answered
                await bill.settle()

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

    def _note(self, account: str, notes: RequestNotes) -> None:
        """Count what was embedded; of a queued job, the worker does that."""
        if self._ledger is not None and notes.result is not None:
            num_texts, num_tokens = len(notes.result.vectors), notes.result.usage.prompt_tokens
            self._ledger.note(account, notes.model, num_texts, num_tokens)


class _Bill:
    """The tokens of one request: held while it is under way, charged when it is answered.

    Attributes:
        num_held: what was taken on a guess, and not yet settled.
    """

    def __init__(self, limiter: QuotaKeeper, holders: Holders, notes: RequestNotes) -> None:
        """Begin with nothing held; `notes` tells whether there are tokens to hold."""
        self.num_held = 0
        self._limiter = limiter
        self._holders = holders
        self._notes = notes
        if any(limits.tokens_per_minute for _, limits in holders):
            notes.hold = self._hold

    async def settle(self) -> Sequence[Standing]:
        """Mend the guess, which for a request that failed was all too much; say what is left."""
        num_held, self.num_held = self.num_held, 0
        return await self._limiter.settle(self._holders, self._notes.num_charged - num_held)

    async def _hold(self, num_tokens: int) -> None:
        await self._limiter.hold(self._holders, num_tokens)
        self.num_held += num_tokens


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
