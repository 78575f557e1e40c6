"""An operation's successes: their shapes and headers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from satsuma.api.openapi.examples import EXAMPLES
from satsuma.api.openapi.failures import failures
from satsuma.api.openapi.headers import header_refs
from satsuma.api.openapi.shapes.words import ref
from satsuma.api.paths import Dialect
from satsuma.api.raw import MEDIA_TYPE
from satsuma.errors import SatsumaError

_ON_ALL: Final = ("x-request-id",)
_ON_VECTORS: Final = ("cf-ai-req-id", "server-timing", "x-satsuma-precision", "x-satsuma-truncated")
_ON_ROWS: Final = ("x-satsuma-shape", "x-satsuma-pooling", "x-satsuma-prompt-tokens")
_ROWS: Final = frozenset({"RunEnvelope", "RunAnswer", "OpenAIAnswer"})
_VECTORS: Final = _ROWS | {"Reranked"}
_BYTES: Final[dict[str, Any]] = {
    MEDIA_TYPE: {
        "schema": {
            "description": "The vectors one after another, in little-endian float32.",
            "contentMediaType": MEDIA_TYPE,
        }
    }
}


def json_content(shape: str) -> dict[str, Any]:
    """Describe a JSON body of a component's shape, with its example."""
    return {"application/json": {"schema": ref(shape), "example": EXAMPLES[shape]}}


def answers(
    says: str, shape: str, errors: Iterable[type[SatsumaError]], dialect: Dialect = Dialect.REST
) -> dict[str, Any]:
    """Describe every answer of an operation, by status.

    Args:
        says: what a success means.
        shape: the component that a success is.
        errors: what can go wrong; each is answered as the table of errors says.
        dialect: whose error shape it is.
    """
    names = (*_ON_ALL, *_ON_VECTORS) if shape in _VECTORS else _ON_ALL
    content = json_content(shape)
    if shape in _ROWS:
        names, content = (*names, *_ON_ROWS), {**content, **_BYTES}
    success = {"description": says, "headers": header_refs(names), "content": content}
    return {"200": success, **failures(errors, dialect)}
