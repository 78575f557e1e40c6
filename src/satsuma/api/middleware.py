"""What stands between the socket and the routes: errors, authentication, the body's limit.

Pure ASGI. Each class does one thing; `app.py` has their order.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Final

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from satsuma.api.envelopes import error_response
from satsuma.api.errors import MethodNotAvailableError, NoRouteError
from satsuma.api.identity import with_token
from satsuma.api.paths import account_of, is_open
from satsuma.auth.exposure import open_access
from satsuma.auth.tokens import TokenRecord, TokenStore
from satsuma.errors import (
    AuthenticationError,
    MalformedCredentialsError,
    MissingCredentialsError,
    RequestTooLargeError,
)
from satsuma.settings import Settings

_AUTHORIZATION: Final = re.compile(r"bearer +(\S+)", re.IGNORECASE)
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/=-]{20,256}")


class ErrorEnvelopes:
    """Turns whatever is raised behind it into an answer of the known shape."""

    def __init__(self, app: ASGIApp) -> None:
        """Stand before `app`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, whatever happens."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        has_begun = False

        async def send_noting(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, send_noting)
        except ClientDisconnect:
            return  # nobody is left to answer, and it is nobody's fault
        except Exception as error:
            if has_begun:
                raise
            known = _of_table(error, scope["method"])
            await error_response(known, scope)(scope, receive, send)


def _of_table(error: Exception, method: str) -> Exception:
    """Turn the router's refusals into errors of the table."""
    if not isinstance(error, HTTPException):
        return error
    if error.status_code != HTTPStatus.METHOD_NOT_ALLOWED:
        return NoRouteError("No route for that URI")
    allow = ", ".join(sorted((error.headers or {}).get("Allow", "").split(", ")))
    return MethodNotAvailableError(f"Method {method} not available for that URI.", allow=allow)


class Authentication:
    """Lets through what carries a token of the path's account, or of any where it names none."""

    def __init__(self, app: ASGIApp, *, settings: Settings, tokens: TokenStore | None) -> None:
        """Stand before `app`."""
        self._app = app
        self._settings = settings
        self._tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check the request's credentials, if its path asks for any."""
        if scope["type"] == "http" and not is_open(scope["path"]):
            scope = with_token(scope, self._check(scope))
        await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> TokenRecord | None:
        """Give the token's record; None where no token is asked for."""
        if open_access(self._settings, self._tokens):
            return None
        token = _read_token(Headers(scope=scope))
        if self._tokens is None:
            raise AuthenticationError("Authentication error")
        return self._tokens.authenticate(token, account_of(scope["path"]))


def _read_token(headers: Headers) -> str:
    """Find the token where Cloudflare's clients put it."""
    authorization = headers.get("authorization")
    if authorization is not None:
        match = _AUTHORIZATION.fullmatch(authorization.strip())
        return _checked_token(match[1] if match else "")
    if "x-auth-key" in headers and "x-auth-email" in headers:
        return _checked_token(headers["x-auth-key"])
    raise MissingCredentialsError("no credentials")


def _checked_token(token: str) -> str:
    if not _TOKEN.fullmatch(token):
        raise MalformedCredentialsError("malformed credentials")
    return token


class BodyLimit:
    """Refuses a body above the limit, on its announcement or while it is read."""

    def __init__(self, app: ASGIApp, *, max_body_bytes: int) -> None:
        """Stand before `app`."""
        self._app = app
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count the body's bytes as they come."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "")
        self._check(int(announced) if announced.isdecimal() else 0)
        num_bytes = 0

        async def receive_counting() -> Message:
            nonlocal num_bytes
            message = await receive()
            num_bytes += len(message.get("body", b""))
            self._check(num_bytes)
            return message

        await self._app(scope, receive_counting, send)

    def _check(self, num_bytes: int) -> None:
        if num_bytes > self._max_body_bytes:
            raise RequestTooLargeError(f"{num_bytes} bytes are above {self._max_body_bytes}")
