"""`GET /openapi.json`: what this server takes and answers, for people and for programs."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from satsuma import __version__
from satsuma.api.openapi.components import SHAPES
from satsuma.api.openapi.failures import examples_of
from satsuma.api.openapi.headers import HEADERS
from satsuma.api.openapi.operations import operations
from satsuma.api.openapi.parts import ALL

_DESCRIPTION: Final = (
    "Cloudflare Workers AI text embeddings, self-hosted. A server on a loopback address asks for "
    "no token until the first one is made; then every path but those of the tag Server does."
)

_SECURITY_SCHEMES: Final = {
    "token": {"type": "http", "scheme": "bearer", "description": "`satsuma token create`"},
    "key": {"type": "apiKey", "in": "header", "name": "X-Auth-Key", "description": "A token."},
    "email": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Auth-Email",
        "description": "Sent beside the key by older clients; not looked at.",
    },
}


class DocumentRoute:
    """`GET /openapi.json`, open to all."""

    def routes(self) -> list[Route]:
        """List the path."""
        return [Route("/openapi.json", self.document)]

    async def document(self, _request: Request) -> Response:
        """Answer the document."""
        return Response(_written(), media_type="application/json")


def openapi_document() -> dict[str, Any]:
    """Put the document together."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "satsuma",
            "version": __version__,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}, {"email": [], "key": []}, {}],  # {}: none, while all are let in
        "paths": operations(),
        "components": {
            "schemas": SHAPES,
            "headers": HEADERS,
            "examples": examples_of(ALL),
            "securitySchemes": _SECURITY_SCHEMES,
        },
    }


@lru_cache(maxsize=1)
def _written() -> bytes:
    return orjson.dumps(openapi_document())
