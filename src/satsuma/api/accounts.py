"""Routes below an account: `/client/v4/accounts/{account_id}/...`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from satsuma.api.errors import MalformedAccountError, shorten
from satsuma.auth.tokens import ACCOUNT_ID

Handler: TypeAlias = Callable[[Request], Awaitable[Response]]

_ACCOUNTS: Final = "/client/v4/accounts"


def account_routes(path: str, handler: Handler, methods: Sequence[str] = ("GET",)) -> list[Route]:
    """Put a handler behind an account, of which only the form is looked at.

    The second path is what a client with an empty account id asks for; it is refused as malformed,
    which says more than that there is no route.
    """

    async def answer(request: Request) -> Response:
        _check_account(request)
        return await handler(request)

    return [
        Route(f"{_ACCOUNTS}/{{account_id}}/{path}", answer, methods=methods),
        Route(f"{_ACCOUNTS}//{path}", answer, methods=methods),
    ]


def _check_account(request: Request) -> None:
    if not ACCOUNT_ID.fullmatch(request.path_params.get("account_id", "")):
        path = shorten(request.scope["path"])
        raise MalformedAccountError(
            f"Could not route to {path}, perhaps your object identifier is invalid?"
        )
