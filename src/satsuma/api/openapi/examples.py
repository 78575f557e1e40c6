"""The document's examples: what to send, and what comes back. Vectors are cut to three numbers."""

from __future__ import annotations

from typing import Any, Final

MODEL: Final = "@cf/baai/bge-base-en-v1.5"
REQUEST_ID: Final = "79b37c3d-7a5b-4b2a-a7b0-5d9c6c1b8a2e"

_TEXTS: Final = ["first text", "second text"]
_ROWS: Final = [[0.0319, 0.0061, 0.026], [0.0024, -0.0214, 0.0623]]
_USAGE: Final = {"prompt_tokens": 8, "completion_tokens": 0, "total_tokens": 8}
_OPENAI_USAGE: Final = {"prompt_tokens": 8, "total_tokens": 8}
_ANSWER: Final = {"shape": [2, 3], "data": _ROWS, "pooling": "mean", "usage": _USAGE}
_QUEUED: Final = {"requests": [{"text": _TEXTS, "external_reference": "reference-1"}]}
_JOB: Final = {"status": "queued", "request_id": REQUEST_ID, "model": MODEL}
_RESPONSE: Final = {
    "id": 0,
    "result": {"shape": [2, 3], "data": _ROWS, "pooling": "mean"},
    "success": True,
    "external_reference": "reference-1",
}
_RESPONSES: Final = {"responses": [_RESPONSE], "usage": _USAGE}
_TASK: Final = {
    "id": "0137cdcf-162a-4108-94f2-1ca59e8c65ee",
    "name": "Text Embeddings",
    "description": "Models that turn a text into a vector.",
}
_MODEL: Final = {
    "id": "429b9e8b-d99e-44de-91ad-706cf8183658",
    "source": 1,
    "name": MODEL,
    "description": "BAAI general embedding (Base) model",
    "task": _TASK,
    "created_at": "2023-09-25 19:21:11.898",
    "tags": [],
    "properties": [
        {"property_id": "max_input_tokens", "value": "512"},
        {"property_id": "output_dimensions", "value": "768"},
        {"property_id": "satsuma_installed", "value": "true"},
    ],
}
_OPENAI_MODEL: Final = {"id": MODEL, "object": "model", "created": 1695669671, "owned_by": "baai"}
_NOTE: Final = {"code": 10000, "message": "This API Token is valid and active", "type": None}

_LOADED: Final = {
    "id": MODEL,
    "precision": "fp32",
    "memory_bytes": 438_000_000,
    "hidden_size": 768,
    "max_tokens": 512,
}


def _enveloped(result: Any, **more: Any) -> dict[str, Any]:
    return {"result": result, "success": True, "errors": [], "messages": [], **more}


EXAMPLES: Final[dict[str, Any]] = {
    "EmbeddingInput": {"text": _TEXTS},
    "QueueInput": _QUEUED,
    "PollInput": {"request_id": REQUEST_ID},
    "RunInput": {"text": _TEXTS},
    "EmbeddingAnswer": _ANSWER,
    "Job": _JOB,
    "Response": _RESPONSE,
    "Responses": _RESPONSES,
    "RunAnswer": _ANSWER,
    "RunEnvelope": _enveloped(_ANSWER),
    "BindingInput": {"inputs": {"text": _TEXTS}, "options": {}},
    "OpenAIInput": {"model": MODEL, "input": _TEXTS},
    "OpenAIAnswer": {
        "object": "list",
        "data": [
            {"object": "embedding", "embedding": row, "index": i} for i, row in enumerate(_ROWS)
        ],
        "model": MODEL,
        "usage": _OPENAI_USAGE,
    },
    "RerankInput": {
        "model": MODEL,
        "query": "what do pandas eat?",
        "documents": _TEXTS,
        "return_documents": True,
    },
    "Reranked": {
        "model": MODEL,
        "results": [
            {"index": 1, "relevance_score": 0.42, "document": {"text": _TEXTS[1]}},
            {"index": 0, "relevance_score": 0.37, "document": {"text": _TEXTS[0]}},
        ],
        "usage": _OPENAI_USAGE,
    },
    "OtherAnswer": {"response": [{"id": 0, "score": 0.7397461}]},
    "OpenAIModel": _OPENAI_MODEL,
    "OpenAIModels": {"object": "list", "data": [_OPENAI_MODEL]},
    "Models": _enveloped(
        [_MODEL], result_info={"count": 1, "page": 1, "per_page": 1000, "total_count": 1}
    ),
    "ModelSchemas": _enveloped({"input": {"type": "object"}, "output": {"type": "object"}}),
    "Tasks": _enveloped([_TASK]),
    "Authors": _enveloped(
        [{"id": "8d1ab9dc-4e0b-53a8-95f4-3a1a3c4b5d6e", "name": "baai", "description": ""}]
    ),
    "Verified": {**_enveloped({"id": "3f9a0c12", "status": "active"}), "messages": [_NOTE]},
    "TokenizeInput": {"model": MODEL, "text": ["first text"]},
    "Tokenized": _enveloped(
        {
            "model": MODEL,
            "texts": [{"tokens": 4, "is_truncated": False, "spans": [[0, 5], [6, 10]]}],
        }
    ),
    "Stats": _enveloped(
        {
            "version": "0.1.0",
            "account": "me",
            "uptime_s": 81.5,
            "models": [_LOADED],
            "waiting": {"tokens": 0, "requests": 0, "engine_s": 0.0},
            "last_minute": {
                "answered": 2,
                "refused": 0,
                "failed": 0,
                "tokens": 16,
                "tokens_by_second": [0] * 58 + [8, 8],
                "latency": {"p50_s": 0.021, "p95_s": 0.024, "p99_s": 0.024},
                "queue": {"p50_s": 0.0001, "p95_s": 0.0002, "p99_s": 0.0002},
            },
        }
    ),
    "Document": {"openapi": "3.1.0", "info": {"title": "satsuma"}, "paths": {}},
    "Health": {"status": "ok"},
    "Ready": {"ready": True, "models": [MODEL]},
    "NotReady": {"ready": False, "reason": "no model is loaded", "models": []},
}
