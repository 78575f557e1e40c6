"""Text encoders: bge-small, -base and -large, and every other model of which nothing else is known.

Source: cloudflare-docs, src/content/workers-ai-models/bge-base-en-v1.5.json @0f82325b; small and
large are identical.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import numpy as np

from satsuma.kinds.kind import Form, Kind, Parsed, Result, Shown
from satsuma.kinds.schemas import MAX_TEXTS, SHAPE, USAGE, VECTORS, Schema, answer, texts
from satsuma.types import EmbedRequest, Pooling

POOLINGS: Final = ("mean", "cls")

_POOLING: Final[Schema] = {
    "type": "string",
    "enum": list(POOLINGS),
    "description": (
        "How one vector is made of a text's tokens: `mean` averages them, `cls` takes the first. "
        "Vectors of the one kind do not compare with vectors of the other, so an index keeps to "
        "the kind that it was begun with."
    ),
}

_USED_POOLING: Final[Schema] = {
    "type": "string",
    "enum": list(POOLINGS),
    "description": "How the vectors were made.",
}


@lru_cache
def embedding_kind(default: Pooling | None) -> Kind:
    """Give the kind of a text encoder; they differ in the default pooling alone.

    Args:
        default: left out of the schema where nobody knows it. Where it is none of the published
            ones, it is a choice besides them.
    """
    choices = list(dict.fromkeys((*POOLINGS, default.value if default else POOLINGS[0])))
    usual = {} if default is None else {"default": default.value}
    pooling = {**_POOLING, "enum": choices, **usual}
    form = Form(
        {"properties": {"text": texts(MAX_TEXTS), "pooling": pooling}, "required": ["text"]},
        parse,
        is_embedding,
    )
    used = {**_USED_POOLING, "enum": choices}
    answered = answer({"shape": SHAPE, "data": VECTORS, "pooling": used, "usage": USAGE})
    return Kind((form,), render, (answered,), has_queue=True)


def parse(model: str, body: Mapping[str, Any]) -> Parsed:
    """Read an input."""
    pooling = Pooling(body["pooling"]) if "pooling" in body else None
    return Parsed(EmbedRequest(model, read_texts(body["text"]), pooling))


def render(result: Result, _shown: Shown) -> dict[str, Any]:
    """Write the answer."""
    usage = {} if result.usage is None else {"usage": result.usage.to_json()}
    return {
        "shape": list(result.vectors.shape),
        "data": np.ascontiguousarray(result.vectors, dtype=np.float32),  # (B, H)
        "pooling": str(result.pooling),
        **usage,
    }


def read_texts(text: str | list[str]) -> tuple[str, ...]:
    """Take one text for a list of it."""
    return (text,) if isinstance(text, str) else tuple(text)


def is_embedding(body: Any) -> bool:
    """Recognise a valid body without walking the schema: the common case, so it must be cheap."""
    if not isinstance(body, dict) or body.get("pooling", "mean") not in POOLINGS:
        return False
    return has_texts(body)


def has_texts(body: Mapping[str, Any]) -> bool:
    """Tell whether `text` is what it should be."""
    text = body.get("text")
    if isinstance(text, list):
        is_full = 1 <= len(text) <= MAX_TEXTS
        return is_full and all(isinstance(one, str) and one for one in text)
    return isinstance(text, str) and text != ""


EMBEDDING: Final = embedding_kind(Pooling.MEAN)
EMBEDDINGS_INPUT: Final = EMBEDDING.input
(EMBEDDINGS_ANSWER,) = EMBEDDING.answers
