"""A request's id: one uuid that its log line, its headers and its error message share."""

from __future__ import annotations

from typing import Final
from uuid import uuid4

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_KEY: Final = "satsuma.request_id"


def request_id(scope: Scope) -> str:
    """Give the id that `RequestIdentity` put into the scope."""
    return str(scope[_KEY])


class RequestIdentity:
    """Gives each request a uuid, and each answer its `x-request-id`."""

    def __init__(self, app: ASGIApp) -> None:
        """Stand before `app`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Name the request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        identity = str(uuid4())

        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                named = (b"x-request-id", identity.encode())
                message = {**message, "headers": [*message.get("headers", ()), named]}
            await send(message)

        await self._app({**scope, _KEY: identity}, receive, send_named)
