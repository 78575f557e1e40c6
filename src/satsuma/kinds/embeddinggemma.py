"""embeddinggemma: vectors of texts, with the prompts and the widths that the model was trained for.

Source: cloudflare-docs, src/content/workers-ai-models/embeddinggemma-300m.json @17331b86, which
knows `text` alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from satsuma.kinds.embedding import read_texts
from satsuma.kinds.kind import Form, Kind, Parsed, Result, Shown
from satsuma.kinds.schemas import (
    DIMENSIONS,
    MAX_TEXTS,
    PROMPT_NAME,
    SHAPE,
    VECTORS,
    Schema,
    answer,
    read_count,
    texts,
)
from satsuma.types import EmbedRequest

_INPUT: Final[Schema] = {
    "properties": {
        "text": texts(MAX_TEXTS),
        "prompt_name": PROMPT_NAME,
        "dimensions": DIMENSIONS,
    },
    "required": ["text"],
}


def _parse(model: str, body: Mapping[str, Any]) -> Parsed:
    dimensions = read_count(body["dimensions"]) if "dimensions" in body else None
    return Parsed(
        EmbedRequest(
            model,
            read_texts(body["text"]),
            dimensions=dimensions,
            prompt_name=body.get("prompt_name"),
        )
    )


def render(result: Result, _shown: Shown) -> dict[str, Any]:
    """Write the answer."""
    vectors = np.ascontiguousarray(result.vectors, dtype=np.float32)  # (B, H)
    return {"shape": list(vectors.shape), "data": vectors}


EMBEDDINGGEMMA: Final = Kind(
    forms=(Form(_INPUT, _parse),),
    render=render,
    answers=(answer({"shape": SHAPE, "data": VECTORS}),),
)
