"""Miniflare's remote bindings: a Worker's request, packed into another one.

Miniflare sends what a binding asks for to one address: the URL that was meant in `MF-URL`, the
binding's name in `MF-Binding`, each header `x` as `MF-Header-x`, method and body as they were.
Here it is unpacked before anything else looks at it, access included.

Only `env.AI`'s own paths are unpacked, and only at the root or at those paths: else whatever stands
before satsuma and judges by the path could be told `/health` and mean something else.

Source: cloudflare/workers-sdk, packages/miniflare/src/workers/shared/remote-bindings-utils.ts.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from satsuma.api.paths import BINDING_PATHS

_OUTER_PATHS: Final = BINDING_PATHS | {"/"}  # "/" is where a connection string leads
_NOWHERE: Final = "//"  # no route has this path
_MARK: Final = b"mf-"
_PACKED: Final = b"mf-header-"

# How the outer request is framed is true of the body that came; the inner one's is not.
_FRAMING: Final = frozenset({b"content-length", b"transfer-encoding", b"connection", b"host"})


class MiniflareProxy:
    """Unpacks the requests of Miniflare's remote bindings."""

    def __init__(self, app: ASGIApp) -> None:
        """Stand before `app`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request that was meant."""
        if scope["type"] == "http" and scope["path"] in _OUTER_PATHS:
            headers = Headers(scope=scope)
            if "mf-url" in headers and "mf-binding" in headers:
                scope = {**scope, **_unpack(headers)}
        await self._app(scope, receive, send)


def _unpack(headers: Headers) -> dict[str, Any]:
    path, query = _split(headers["mf-url"])
    return {
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode("latin-1", "replace"),
        "headers": _unpack_headers(headers.raw),
    }


def _split(url: str) -> tuple[str, str]:
    """Give path and query; what `env.AI` does not ask for leads nowhere, and is refused as that."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return _NOWHERE, ""
    return (parts.path, parts.query) if parts.path in BINDING_PATHS else (_NOWHERE, "")


def _unpack_headers(raw: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Restore the packed headers; of the outer ones stays what the inner request does not set."""
    inner = [(name.removeprefix(_PACKED), value) for name, value in raw if name.startswith(_PACKED)]
    inner = [(name, value) for name, value in inner if name not in _FRAMING]
    taken = {name for name, _ in inner}
    outer = [
        (name, value) for name, value in raw if not name.startswith(_MARK) and name not in taken
    ]
    return [*outer, *inner]
