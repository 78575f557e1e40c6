"""qwen3-embedding: queries, each behind an instruction, and documents.

Sources: cloudflare-docs, src/content/workers-ai-models/qwen3-embedding-0.6b.json @8cd2f796; the
words around an instruction are those of the model's card,
https://huggingface.co/Qwen/Qwen3-Embedding-0.6B.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from satsuma.kinds.embedding import read_texts
from satsuma.kinds.kind import Form, Kind, Parsed, Result, Shown
from satsuma.kinds.schemas import (
    DIMENSIONS,
    SHAPE,
    USAGE,
    VECTORS,
    Schema,
    answer,
    read_count,
    texts,
)
from satsuma.types import EmbedRequest, Usage

MAX_TEXTS: Final = 32  # of each member

# What the model's own files have for a query, and Cloudflare's default.
_INSTRUCTION: Final = "Given a web search query, retrieve relevant passages that answer the query"
_QUERY: Final = "Instruct: {instruction}\nQuery:{query}"
_NEURONS_PER_TOKEN: Final = 1075e-6  # Cloudflare's pricing page, 2026-08

_INPUT: Final[Schema] = {
    "properties": {
        "queries": texts(MAX_TEXTS, "Questions, which the instruction comes before."),
        "documents": texts(MAX_TEXTS, "Texts that may answer them."),
        "text": texts(MAX_TEXTS, "The same as `documents`."),
        "instruction": {
            "type": "string",
            "description": "What the queries are for.",
            "default": _INSTRUCTION,
        },
        "dimensions": DIMENSIONS,
    },
    "anyOf": [{"required": ["queries"]}, {"required": ["documents"]}, {"required": ["text"]}],
}
_USAGE: Final[Schema] = {
    **USAGE,
    "properties": {**USAGE["properties"], "neurons": {"type": "number", "minimum": 0}},
}


def _parse(model: str, body: Mapping[str, Any]) -> Parsed:
    """Put queries before documents, and those before `text`, into one request."""
    instruction = body.get("instruction", _INSTRUCTION)
    queries = read_texts(body.get("queries", []))
    asked = tuple(_QUERY.format(instruction=instruction, query=one) for one in queries)
    told = (*read_texts(body.get("documents", [])), *read_texts(body.get("text", [])))
    dimensions = read_count(body["dimensions"]) if "dimensions" in body else None
    return Parsed(EmbedRequest(model, (*asked, *told), dimensions=dimensions, prompt_name=""))


def render(result: Result, _shown: Shown) -> dict[str, Any]:
    """Write the answer."""
    usage = {} if result.usage is None else {"usage": _write_usage(result.usage)}
    vectors = np.ascontiguousarray(result.vectors, dtype=np.float32)  # (B, H)
    return {"data": vectors, "shape": list(vectors.shape), **usage}


def _write_usage(usage: Usage) -> dict[str, Any]:
    return {**usage.to_json(), "neurons": usage.prompt_tokens * _NEURONS_PER_TOKEN}


QWEN3: Final = Kind(
    forms=(Form(_INPUT, _parse),),
    render=render,
    answers=(answer({"data": VECTORS, "shape": SHAPE, "usage": _USAGE}, "usage"),),
)
