"""What the reranker's path takes and answers."""

from __future__ import annotations

from typing import Final

from satsuma.api.openapi.shapes.words import (
    COUNT,
    MODEL_ID,
    ONE_TEXT,
    READ_TOKENS,
    STRING,
    listed,
    optional,
    record,
)
from satsuma.api.rerank_input import MAX_DOCUMENTS
from satsuma.kinds.schemas import Schema

_DOCUMENT: Final = record({"text": ONE_TEXT})

_INPUT: Final = record(
    {
        "model": MODEL_ID,
        "query": {**ONE_TEXT, "description": "What the documents are compared with."},
        "documents": {
            **listed({"anyOf": [ONE_TEXT, _DOCUMENT]}, minItems=1, maxItems=MAX_DOCUMENTS),
            "description": "Texts; a result names each by its index here.",
        },
    },
    {
        "top_n": {
            **optional({"type": "integer", "minimum": 1}),
            "description": "How many results, the best ones. All if left out.",
        },
        "return_documents": {
            **optional({"type": "boolean"}),
            "description": "Give each result its text. No if left out.",
        },
    },
)

_ANSWER: Final = record(
    {
        "model": STRING,
        "results": {
            **listed(
                record(
                    {
                        "index": COUNT,
                        "relevance_score": {
                            "type": "number",
                            "description": "A classifier's is from 0 to 1, an encoder's a cosine.",
                        },
                    },
                    {"document": _DOCUMENT},
                )
            ),
            "description": "The best one first.",
        },
        "usage": READ_TOKENS,
    }
)

SHAPES: Final[dict[str, Schema]] = {
    "RerankInput": _INPUT,
    "Reranked": _ANSWER,
}
