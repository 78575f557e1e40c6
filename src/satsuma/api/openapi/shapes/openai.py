"""What OpenAI's paths take and answer."""

from __future__ import annotations

from typing import Final

from satsuma.api.openai_input import ENCODING_FORMATS, MAX_INPUTS, MAX_TOKEN_IDS
from satsuma.api.openapi.shapes.words import (
    COUNT,
    INTEGER,
    MODEL_ID,
    ONE_TEXT,
    READ_TOKENS,
    STRING,
    listed,
    optional,
    record,
    ref,
)
from satsuma.kinds.embedding import POOLINGS
from satsuma.kinds.schemas import Schema

_TOKEN_IDS: Final = {
    **listed(COUNT, minItems=1, maxItems=MAX_TOKEN_IDS),
    "description": "One text, as token ids of the model's own vocabulary.",
}

_INPUT: Final = record(
    {
        "model": MODEL_ID,
        "input": {
            "description": "One text or several, each in words or in token ids.",
            "anyOf": [
                ONE_TEXT,
                _TOKEN_IDS,
                listed({"anyOf": [ONE_TEXT, _TOKEN_IDS]}, minItems=1, maxItems=MAX_INPUTS),
            ],
        },
    },
    {
        "encoding_format": {
            **optional({"enum": list(ENCODING_FORMATS)}),
            "description": "`float`, or `base64` of little-endian float32. `float` if left out.",
        },
        "dimensions": {
            **optional({"type": "integer", "minimum": 1}),
            "description": "A width that the model was trained to be cut to.",
        },
        "pooling": {
            **optional({"enum": list(POOLINGS)}),
            "description": "satsuma's own: the model's default if left out.",
        },
        "prompt_name": {
            **optional(STRING),
            "description": (
                "satsuma's own: which of the model's own prompts comes before each text; `\"\"` is "
                "none. If left out, the one that is usual with the model."
            ),
        },
        "user": {**optional(STRING), "description": "Not looked at."},
    },
)

_ANSWER: Final = record(
    {
        "object": {"const": "list"},
        "data": listed(
            record(
                {
                    "object": {"const": "embedding"},
                    "embedding": {"anyOf": [listed({"type": "number"}), STRING]},
                    "index": COUNT,
                }
            )
        ),
        "model": STRING,
        "usage": READ_TOKENS,
    }
)

_MODEL: Final = record(
    {"id": STRING, "object": {"const": "model"}, "created": INTEGER, "owned_by": STRING}
)

SHAPES: Final[dict[str, Schema]] = {
    "OpenAIInput": _INPUT,
    "OpenAIAnswer": _ANSWER,
    "OpenAIModel": _MODEL,
    "OpenAIModels": record({"object": {"const": "list"}, "data": listed(ref("OpenAIModel"))}),
}
