"""bge-reranker-base and other classifiers of pairs: a score for each context beside a query.

Source: cloudflare-docs, src/content/workers-ai-models/bge-reranker-base.json @5e6027c2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from satsuma.kinds.kind import Form, Kind, Parsed, Result, Shown
from satsuma.kinds.schemas import CONTEXTS, QUERY, SCORES, Schema, answer, read_count
from satsuma.kinds.scores import write_scores
from satsuma.types import EmbedRequest

_TOP_K: Final[Schema] = {
    "type": "integer",
    "description": "How many of the contexts to answer with, the best ones.",
    "minimum": 1,
}
_INPUT: Final[Schema] = {
    "properties": {"query": QUERY, "contexts": CONTEXTS, "top_k": _TOP_K},
    "required": ["query", "contexts"],
}


def _parse(model: str, body: Mapping[str, Any]) -> Parsed:
    contexts = tuple(one["text"] for one in body["contexts"])
    shown = {"top_k": read_count(body["top_k"])} if "top_k" in body else {}
    return Parsed(EmbedRequest(model, contexts, query=body["query"]), shown)


def render(result: Result, shown: Shown) -> dict[str, Any]:
    """Write the answer, the best score first; of equal ones, the first context's."""
    scores = sorted(write_scores(result.vectors), key=lambda one: -one["score"])
    return {"response": scores[: shown.get("top_k")]}


RERANKER: Final = Kind(
    forms=(Form(_INPUT, _parse),), render=render, answers=(answer({"response": SCORES}),)
)
