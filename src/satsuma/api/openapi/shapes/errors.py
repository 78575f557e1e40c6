"""The errors, a shape for each dialect."""

from __future__ import annotations

from typing import Final

from satsuma.api.openapi.shapes.words import INTEGER, OBJECT, STRING, listed, record, ref
from satsuma.kinds.schemas import Schema

ONE_ERROR: Final = record(
    {"code": INTEGER, "message": STRING},
    {"error_chain": listed(record({"code": INTEGER, "message": STRING}))},
)

_REST: Final = record(
    {
        "result": {"type": ["object", "null"], "maxProperties": 0},
        "success": {"const": False},
        "errors": listed(ONE_ERROR, minItems=1, maxItems=1),
        "messages": listed(OBJECT, maxItems=0),
    }
)

_BINDING: Final = record(
    {
        "name": {"const": "AiError"},
        "internalCode": INTEGER,
        "httpCode": INTEGER,
        "message": STRING,
        "description": STRING,
        "requestId": {"type": "string", "format": "uuid"},
    }
)

_OPENAI: Final = {
    "allOf": [
        ref("Error"),
        record(
            {
                "error": record(
                    {
                        "message": STRING,
                        "type": STRING,
                        "param": {"type": ["string", "null"]},
                        "code": STRING,
                    }
                )
            }
        ),
    ]
}

SHAPES: Final[dict[str, Schema]] = {
    "Error": _REST,
    "BindingError": _BINDING,
    "OpenAIError": _OPENAI,
}
