"""Stopping without losing a request: what runs finishes, what comes is sent elsewhere.

Knows no signals and no sockets; `server.py` decides when to start and when to cut.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from satsuma.api.envelopes import error_response
from satsuma.errors import ShuttingDownError

_HEALTH: Final = "/health"  # still true while the server drains
_DISCARD_S: Final = 1.0


class Drain:
    """The stop's state, shared by the gate that obeys it and the server that sets it.

    Lives on the event loop; `start` alone may be called from a signal handler.
    """

    def __init__(self) -> None:
        """Begin with the gate open."""
        self.is_draining = False
        self.is_cut = False
        self.running: set[asyncio.Task[object]] = set()

    def start(self) -> None:
        """Refuse requests from now on, and let the running ones finish."""
        self.is_draining = True

    def cut(self) -> None:
        """Stop waiting: cancel what still runs; it is answered as the refused ones are."""
        self.is_cut = True
        for task in self.running:
            task.cancel()


class DrainGate:
    """Counts the running requests and refuses new ones once draining."""

    def __init__(self, app: ASGIApp, *, drain: Drain) -> None:
        """Stand before `app`."""
        self._app = app
        self._drain = drain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or refuse it."""
        if scope["type"] != "http" or scope["path"] == _HEALTH:
            await self._app(scope, receive, send)
        elif self._drain.is_draining:
            await _discard_body(receive)
            await _refuse(scope, receive, send)
        else:
            await self._count(scope, receive, send)

    async def _count(self, scope: Scope, receive: Receive, send: Send) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - ASGI applications run in tasks
        self._drain.running.add(task)
        try:
            await self._run(task, scope, receive, send)
        finally:
            self._drain.running.discard(task)

    async def _run(
        self, task: asyncio.Task[object], scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Run a request; if it is cut before its answer began, refuse it after all."""
        has_begun = False

        async def send_closing(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(self._with_close(message))

        try:
            await self._app(scope, receive, send_closing)
        except asyncio.CancelledError:
            if has_begun or not self._drain.is_cut:
                raise
            task.uncancel()
            await _refuse(scope, receive, send)

    def _with_close(self, message: Message) -> Message:
        """While draining, tell the client not to use this connection again."""
        if not self._drain.is_draining or message["type"] != "http.response.start":
            return message
        headers = [one for one in message.get("headers", ()) if one[0] != b"connection"]
        return {**message, "headers": [*headers, (b"connection", b"close")]}


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    error = ShuttingDownError("The server is stopping and takes no new work; please try again.")
    await error_response(error, scope)(scope, receive, send)


async def _discard_body(receive: Receive) -> None:
    """Read what is on its way.

    Closing over unread bytes would reset the connection, and the client would lose the answer.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(_DISCARD_S):
            while (await receive()).get("more_body", False):
                pass
