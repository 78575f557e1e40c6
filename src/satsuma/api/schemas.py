"""The input schemas that Cloudflare publishes for its embedding models, as published.

Source: cloudflare-docs, src/content/workers-ai-models/bge-base-en-v1.5.json @0f82325b; small and
large are identical. What satsuma refuses beyond them is in `validation.py`, not here.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

Schema: TypeAlias = dict[str, Any]

MAX_TEXTS: Final = 100
POOLINGS: Final = ("mean", "cls")

_ONE_TEXT: Final[Schema] = {
    "type": "string",
    "description": "The text to embed",
    "minLength": 1,
}

_TEXT: Final[Schema] = {
    "oneOf": [
        _ONE_TEXT,
        {
            "type": "array",
            "description": "Batch of text values to embed",
            "items": _ONE_TEXT,
            "maxItems": MAX_TEXTS,
        },
    ]
}

_POOLING: Final[Schema] = {
    "type": "string",
    "enum": list(POOLINGS),
    "default": "mean",
    "description": (
        "The pooling method used in the embedding process. `cls` pooling will generate more "
        "accurate embeddings on larger inputs - however, embeddings created with cls pooling are "
        "not compatible with embeddings generated with mean pooling. The default pooling method "
        "is `mean` in order for this to not be a breaking change, but we highly suggest using "
        "the new `cls` pooling for better accuracy."
    ),
}

_EMBEDDING: Final[Schema] = {
    "properties": {"text": _TEXT, "pooling": _POOLING},
    "required": ["text"],
}

_QUEUED: Final[Schema] = {
    "properties": {
        "requests": {
            "type": "array",
            "description": "Batch of the embeddings requests to run using async-queue",
            "items": _EMBEDDING,
        }
    },
    "required": ["requests"],
}

EMBEDDINGS_INPUT: Final[Schema] = {"type": "object", "oneOf": [_EMBEDDING, _QUEUED]}
