"""Whose request it is: its uuid, which log, headers and errors share, and its token."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from satsuma.auth.tokens import TokenRecord

_ID_KEY: Final = "satsuma.request_id"
_RECORD_KEY: Final = "satsuma.token"
_NUM_DRAWN: Final = 64
_VARIANTS: Final = dict(zip("0123456789abcdef", 4 * "89ab", strict=True))
_CURRENT: Final = ContextVar("satsuma.request_id", default="")


def request_id(scope: Scope) -> str:
    """Give the id that `RequestIdentity` put into the scope."""
    return str(scope[_ID_KEY])


def current_request_id() -> str:
    """Give the id of the request that the current task answers; empty outside of one."""
    return _CURRENT.get()


def name_request(identity: str) -> None:
    """Say that the current task answers the request of this id."""
    _CURRENT.set(identity)


def with_token(scope: Scope, record: TokenRecord | None) -> Scope:
    """Note the token that was accepted; None where none was asked for."""
    return {**scope, _RECORD_KEY: record}


def token_record(scope: Scope) -> TokenRecord | None:
    """Give the token that `Authentication` accepted."""
    record: TokenRecord | None = scope[_RECORD_KEY]
    return record


class RequestIdentity:
    """Gives each request a uuid, and each answer its `x-request-id`."""

    def __init__(self, app: ASGIApp) -> None:
        """Stand before `app`."""
        self._app = app
        self._names = _draw_uuids()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Name the request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        identity = next(self._names)
        name_request(identity)

        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                named = (b"x-request-id", identity.encode())
                message = {**message, "headers": [*message.get("headers", ()), named]}
            await send(message)

        await self._app({**scope, _ID_KEY: identity}, receive, send_named)


def _draw_uuids() -> Iterator[str]:
    """Draw many at once: asking the system gives the interpreter's lock away each time."""
    while True:
        drawn = os.urandom(16 * _NUM_DRAWN).hex()
        for start in range(0, len(drawn), 32):
            yield _write_uuid(drawn[start : start + 32])


def _write_uuid(digits: str) -> str:
    """Write 32 random hexadecimal digits as a uuid of version 4."""
    variant = _VARIANTS[digits[16]]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"
