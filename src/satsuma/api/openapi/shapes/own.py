"""What satsuma's own paths take and answer."""

from __future__ import annotations

from typing import Final

from satsuma.activity import WINDOW_S
from satsuma.api.openapi.shapes.words import (
    COUNT,
    MODEL_ID,
    OBJECT,
    STRING,
    listed,
    optional,
    record,
    ref,
    success,
)
from satsuma.kinds.embedding import EMBEDDINGS_INPUT
from satsuma.kinds.schemas import Schema
from satsuma.types import Precision

_SECONDS: Final[Schema] = {"type": "number", "minimum": 0}

_SPAN: Final = {
    **listed(COUNT, minItems=2, maxItems=2),
    "description": "The token's first character in the text, and the one after its last.",
}

_TOKENISED: Final = record(
    {"tokens": COUNT, "is_truncated": {"type": "boolean"}, "spans": listed(_SPAN)}
)

_DURATIONS: Final = optional(record(dict.fromkeys(("p50_s", "p95_s", "p99_s"), _SECONDS)))

_LOADED: Final = record(
    {
        "id": STRING,
        "precision": {"enum": [precision.value for precision in Precision]},
        "memory_bytes": COUNT,
        "hidden_size": COUNT,
        "max_tokens": COUNT,
    }
)

_LAST_MINUTE: Final = record(
    {
        **dict.fromkeys(("answered", "refused", "failed", "tokens"), COUNT),
        "tokens_by_second": {
            **listed(COUNT, minItems=WINDOW_S, maxItems=WINDOW_S),
            "description": "Of the last whole seconds, oldest first.",
        },
        "latency": {**_DURATIONS, "description": "From a request's start to its vectors."},
        "queue": {**_DURATIONS, "description": "The part of it spent waiting."},
    }
)

_STATS: Final = record(
    {
        "version": STRING,
        "account": {**optional(STRING), "description": "The token's; null where none is asked."},
        "uptime_s": _SECONDS,
        "models": listed(ref("LoadedModel")),
        "waiting": record({"tokens": COUNT, "requests": COUNT, "engine_s": _SECONDS}),
        "last_minute": _LAST_MINUTE,
    }
)

SHAPES: Final[dict[str, Schema]] = {
    "TokenizeInput": record(
        {"model": MODEL_ID, "text": EMBEDDINGS_INPUT["oneOf"][0]["properties"]["text"]}
    ),
    "Tokenized": success(record({"model": STRING, "texts": listed(_TOKENISED)})),
    "LoadedModel": _LOADED,
    "Stats": success(_STATS),
    "Health": record({"status": {"const": "ok"}}),
    "Ready": record({"ready": {"const": True}, "models": listed(STRING, minItems=1)}),
    "NotReady": record({"ready": {"const": False}, "reason": STRING, "models": listed(STRING)}),
    "Document": record({"openapi": STRING, "info": OBJECT, "paths": OBJECT}),
}
