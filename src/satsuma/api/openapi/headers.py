"""The answers' headers, by name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

_UUID: Final = {"type": "string", "format": "uuid"}

HEADERS: Final[dict[str, Any]] = {
    "x-request-id": {
        "description": "The request's uuid, as in the server's log.",
        "required": True,
        "schema": _UUID,
    },
    "cf-ai-req-id": {"description": "The same uuid.", "required": True, "schema": _UUID},
    "server-timing": {
        "description": "Milliseconds of `tokenise`, `queue` and `inference`. Not of a job.",
        "schema": {"type": "string"},
    },
    "x-satsuma-precision": {
        "description": (
            "The arithmetic that made the vectors: `fp32` or `int8`; both, with a comma, of a job "
            "that servers of both kinds worked on. Absent where there are no vectors."
        ),
        "schema": {"type": "string", "pattern": "^(fp32|int8)(, int8)?$"},
    },
    "x-satsuma-truncated": {
        "description": "How many texts lost their end to the model's limit. Absent if none.",
        "schema": {"type": "integer", "minimum": 1},
    },
    "x-satsuma-shape": {
        "description": "Of an answer in bytes: how many vectors, and how many numbers in each.",
        "schema": {"type": "string", "pattern": "^[0-9]+, [0-9]+$"},
    },
    "x-satsuma-pooling": {
        "description": "Of an answer in bytes: how the vectors were made.",
        "schema": {"type": "string"},
    },
    "x-satsuma-prompt-tokens": {
        "description": "Of an answer in bytes: what was read, in tokens.",
        "schema": {"type": "integer", "minimum": 1},
    },
    "retry-after": {
        "description": "Seconds to wait. On 503 only while the server stops, or of the queue.",
        "schema": {"type": "integer", "minimum": 1},
    },
    "allow": {
        "description": "The methods that there are, where the path is known.",
        "schema": {"type": "string"},
    },
}


def header_refs(names: Iterable[str]) -> dict[str, Any]:
    """Point at headers."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}
