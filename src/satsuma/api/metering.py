"""Counts every request and, where asked for, logs it: path, status and time, never a text."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from satsuma.api.metrics import Metrics
from satsuma.api.paths import route_of
from satsuma.api.ports import QuotaKeeper
from satsuma.types import EmbedResult
from satsuma.usage.ledger import Ledger
from satsuma.usage.limiter import Limiter

_ACCESS: Final = logging.getLogger("satsuma.access")
_NOTES_KEY: Final = "satsuma.notes"
_GONE: Final = 499  # as nginx has it: the client left before an answer


@dataclass(slots=True)
class RequestNotes:
    """What the routes tell of a request.

    Attributes:
        model: canonical id of one that is here.
        result: what was embedded; None until then.
        embedded_at_ns: when that was there, since 1970.
        num_charged: tokens that a quota is charged: those embedded, or a queued job's, guessed.
        hold: takes about so many tokens from quotas before any work, and raises
            `RateLimitedError` if none is left; None where no quota counts tokens.
    """

    model: str = ""
    result: EmbedResult | None = None
    embedded_at_ns: int = 0
    num_charged: int = 0
    hold: Callable[[int], Awaitable[None]] | None = None

    def note_result(self, result: EmbedResult) -> None:
        """Keep what was embedded, and when."""
        self.result, self.embedded_at_ns = result, time.time_ns()
        self.num_charged = result.usage.prompt_tokens


def notes_of(scope: Scope) -> RequestNotes:
    """Give the notes that `Metering` put into the scope."""
    notes: RequestNotes = scope[_NOTES_KEY]
    return notes


class Traces(Protocol):
    """Where requests are traced: `tracing.py`, imported only where that is asked for."""

    @property
    def middleware(self) -> Middleware:
        """Stands behind `Metering`, whose notes it reads."""

    def close(self) -> None:
        """Send what is left; may block for a few seconds."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Where requests are counted.

    Attributes:
        metrics: for operators, since the start.
        ledger: what each account used, for good; None keeps nothing.
        traces: of each request; None makes none.
        limiter: keeps the quotas.
    """

    metrics: Metrics = field(default_factory=Metrics)
    ledger: Ledger | None = None
    traces: Traces | None = None
    limiter: QuotaKeeper = field(default_factory=Limiter)


class Metering:
    """Stands where every answer passes, and counts once it is on its way: nobody waits for that."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, is_logged: bool) -> None:
        """Stand before `app`.

        Args:
            app: answers.
            metrics: counts.
            is_logged: whether each request gets a line of log.
        """
        self._app = app
        self._metrics = metrics
        self._is_logged = is_logged

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Watch a request to its end."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        notes, status, started_at_s = RequestNotes(), _GONE, time.perf_counter()

        async def send_noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app({**scope, _NOTES_KEY: notes}, receive, send_noting)
        finally:
            self._note(scope, notes, status, time.perf_counter() - started_at_s)

    def _note(self, scope: Scope, notes: RequestNotes, status: int, seconds: float) -> None:
        self._metrics.note_request(route_of(scope["path"]), notes.model, status, seconds)
        if notes.result is not None:
            self._metrics.note_result(notes.model, notes.result)
        if self._is_logged:
            _ACCESS.info(
                "%s %s %d in %.1f ms", scope["method"], scope["path"], status, 1e3 * seconds
            )
