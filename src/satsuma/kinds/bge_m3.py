"""bge-m3: vectors of texts, vectors of contexts, or scores of contexts beside a query.

Source: cloudflare-docs, src/content/workers-ai-models/bge-m3.json @17331b86; the members of the
vectors' answer, and their order, as users saw them in 2026-10.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from satsuma.kinds.embedding import has_texts, read_texts
from satsuma.kinds.kind import Form, Kind, Parsed, Result, Shown
from satsuma.kinds.schemas import (
    CONTEXTS,
    MAX_TEXTS,
    QUERY,
    SCORES,
    SHAPE,
    VECTORS,
    Schema,
    answer,
    texts,
)
from satsuma.kinds.scores import write_scores
from satsuma.types import EmbedRequest, TokenOutput, Usage

# The service pads, and counts what it pads: texts times the longest of them.
MAX_PADDED_TOKENS: Final = 60_000
MAX_MULTI_TOKENS: Final = 8_192  # counted alike, where every token's vector is answered

_NEURONS_PER_TOKEN: Final = 1075e-6  # Cloudflare's pricing page, 2026-08
_CONTEXTS_ALONE: Final = {"form": "contexts"}
_RARE: Final = frozenset({"contexts", "outputs"})

_TRUNCATE: Final[Schema] = {
    "type": "boolean",
    "description": "Cut a text that is too long, where it would be refused.",
    "default": False,
}
_OUTPUTS: Final[Schema] = {
    "type": "array",
    "description": (
        "satsuma's own, of a direct call: what to answer beside the vectors. `sparse` weighs each "
        "text's words, `multi_vectors` has a vector for each of its tokens."
    ),
    "items": {"type": "string", "enum": [one.value for one in TokenOutput]},
    "maxItems": len(TokenOutput),
}
_SPARSE: Final[Schema] = {
    "type": "array",
    "description": "Of each text its words, as token ids of the model's, and their weights.",
    "items": {
        "type": "object",
        "properties": {
            "indices": {"type": "array", "items": {"type": "integer"}},
            "values": {"type": "array", "items": {"type": "number"}},
        },
        "required": ["indices", "values"],
    },
}
_MULTI_VECTORS: Final[Schema] = {
    "type": "array",
    "description": "Of each text a vector for each of its tokens but the first.",
    "items": VECTORS,
}
_MORE: Final = {"sparse": _SPARSE, "multi_vectors": _MULTI_VECTORS}

_META: Final[Schema] = {
    "type": "object",
    "description": "What the call would have cost at Cloudflare.",
    "properties": {
        "cost_metric_name_1": {"type": "string"},
        "cost_metric_value_1": {"type": "integer", "minimum": 0},
        "neurons": {"type": "number", "minimum": 0},
    },
}
_POOLING: Final[Schema] = {"type": "string", "description": "How the vectors were made."}
_NOTHING: Final[Schema] = {"type": "null", "description": "Of a call without contexts."}

_SCORED: Final = answer({"response": SCORES, "meta": _META}, "meta", title="Output Query")
_EMBEDDED_CONTEXTS: Final = answer(
    {"response": VECTORS, "shape": SHAPE, "pooling": _POOLING, "meta": _META, **_MORE},
    "meta",
    *_MORE,
    title="Output Embedding for Contexts",
)
_EMBEDDED: Final = answer(
    {
        "data": VECTORS,
        "shape": SHAPE,
        "pooling": _POOLING,
        "response": _NOTHING,
        "meta": _META,
        **_MORE,
    },
    "response",
    "meta",
    *_MORE,
    title="Output Embedding",
)


def _parse_texts(model: str, body: Mapping[str, Any]) -> Parsed:
    return Parsed(_request(model, read_texts(body["text"]), body))


def _parse_contexts(model: str, body: Mapping[str, Any]) -> Parsed:
    contexts = tuple(one["text"] for one in body["contexts"])
    query = body.get("query")
    shown = _CONTEXTS_ALONE if query is None else {}
    return Parsed(_request(model, contexts, body, query), shown)


def _request(
    model: str, items: tuple[str, ...], body: Mapping[str, Any], query: str | None = None
) -> EmbedRequest:
    outputs = () if query is not None else tuple(map(TokenOutput, body.get("outputs", ())))
    is_multi = TokenOutput.MULTI_VECTORS in outputs
    return EmbedRequest(
        model,
        items,
        query=query,
        may_truncate=body.get("truncate_inputs", False),
        max_padded_tokens=MAX_MULTI_TOKENS if is_multi else MAX_PADDED_TOKENS,
        outputs=outputs,
    )


def _is_plain(body: Any) -> bool:
    """Recognise texts that come alone."""
    return (
        isinstance(body, dict)
        and not _RARE & body.keys()
        and isinstance(body.get("truncate_inputs", False), bool)
        and has_texts(body)
    )


def render(result: Result, shown: Shown) -> dict[str, Any]:
    """Write the answer; a row of one number is a score, for no model has such vectors."""
    meta = {} if result.usage is None else {"meta": _meta(result.usage)}
    if result.vectors.shape[1] == 1:
        return {"response": write_scores(result.vectors), **meta}
    vectors = np.ascontiguousarray(result.vectors, dtype=np.float32)  # (B, H)
    told = {"shape": list(vectors.shape), "pooling": str(result.pooling)}
    if shown == _CONTEXTS_ALONE:
        return {"response": vectors, **told, **meta, **_write_more(result)}
    nothing = {} if result.usage is None else {"response": None}
    return {"data": vectors, **told, **nothing, **meta, **_write_more(result)}


def _write_more(result: Result) -> dict[str, Any]:
    """Write what is there beside the vectors."""
    words = [{"indices": one.indices, "values": one.values} for one in result.sparse]
    sparse = {"sparse": words} if words else {}
    multi = {"multi_vectors": list(result.multi_vectors)} if result.multi_vectors else {}
    return {**sparse, **multi}


def _meta(usage: Usage) -> dict[str, Any]:
    return {
        "cost_metric_name_1": "input_tokens",
        "cost_metric_value_1": usage.prompt_tokens,
        "neurons": usage.prompt_tokens * _NEURONS_PER_TOKEN,
    }


def _object(properties: Schema, required: str) -> Schema:
    return {"properties": properties, "required": [required]}


BGE_M3: Final = Kind(
    forms=(
        Form(
            _object(
                {
                    "query": QUERY,
                    "contexts": CONTEXTS,
                    "truncate_inputs": _TRUNCATE,
                    "outputs": _OUTPUTS,
                },
                "contexts",
            ),
            _parse_contexts,
        ),
        Form(
            _object(
                {"text": texts(MAX_TEXTS), "truncate_inputs": _TRUNCATE, "outputs": _OUTPUTS},
                "text",
            ),
            _parse_texts,
            _is_plain,
        ),
    ),
    render=render,
    answers=(_SCORED, _EMBEDDED_CONTEXTS, _EMBEDDED),
    has_queue=True,
)
