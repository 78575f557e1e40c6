"""The answers' headers, by name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from satsuma.types import Precision

_UUID: Final = {"type": "string", "format": "uuid"}

HEADERS: Final[dict[str, Any]] = {
    "x-request-id": {
        "description": "The request's uuid, as in the server's log.",
        "required": True,
        "schema": _UUID,
    },
    "cf-ai-req-id": {"description": "The same uuid.", "required": True, "schema": _UUID},
    "server-timing": {
        "description": "Milliseconds of `tokenise`, `queue` and `inference`.",
        "required": True,
        "schema": {"type": "string"},
    },
    "x-satsuma-precision": {
        "description": "The arithmetic that made the vectors.",
        "required": True,
        "schema": {"enum": [precision.value for precision in Precision]},
    },
    "x-satsuma-truncated": {
        "description": "How many texts lost their end to the model's limit. Absent if none.",
        "schema": {"type": "integer", "minimum": 1},
    },
    "retry-after": {
        "description": "Seconds to wait. On 503 only while the server stops.",
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
