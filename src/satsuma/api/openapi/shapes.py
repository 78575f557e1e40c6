"""The document's component schemas: what is sent and answered, by name."""

from __future__ import annotations

from typing import Final

from satsuma.activity import WINDOW_S
from satsuma.api.listing import INSTALLED_PROPERTY, LICENCE_PROPERTY
from satsuma.api.openai_input import ENCODING_FORMATS, MAX_INPUTS, MAX_TOKEN_IDS
from satsuma.api.queue_input import INPUTS
from satsuma.api.rerank_input import MAX_DOCUMENTS
from satsuma.kinds import KINDS
from satsuma.kinds.embedding import EMBEDDINGS_ANSWER, EMBEDDINGS_INPUT, POOLINGS
from satsuma.kinds.schemas import POLL, Schema
from satsuma.types import Precision

_STRING: Final[Schema] = {"type": "string"}
_INTEGER: Final[Schema] = {"type": "integer"}
_OBJECT: Final[Schema] = {"type": "object"}


def ref(name: str) -> dict[str, str]:
    """Point at a component schema."""
    return {"$ref": f"#/components/schemas/{name}"}


def record(required: dict[str, Schema], optional: dict[str, Schema] | None = None) -> Schema:
    """Describe an object by its members."""
    properties = {**required, **(optional or {})}
    return {"type": "object", "properties": properties, "required": list(required)}


def listed(items: Schema, **limits: int) -> Schema:
    """Describe a list."""
    return {"type": "array", "items": items, **limits}


def success(result: Schema, **more: Schema) -> Schema:
    """Describe Cloudflare's envelope around a result."""
    nothing = listed(_OBJECT, maxItems=0)
    messages = listed(_OBJECT)
    members = {"result": result, "success": {"const": True}, "errors": nothing}
    return record({**members, "messages": messages, **more})


def _optional(schema: Schema) -> Schema:
    """Allow null, which counts as left out."""
    return {"anyOf": [schema, {"type": "null"}]}


def _embedding_input() -> Schema:
    """Give the part of the served input schema that is answered at once."""
    embedding, queued = EMBEDDINGS_INPUT["oneOf"]
    return {"type": "object", **embedding, "not": queued}


def _queue_input() -> Schema:
    """Give the part that is for the queue."""
    embedding, queued = EMBEDDINGS_INPUT["oneOf"]
    return {"type": "object", **queued, "not": embedding}


def _poll_input() -> Schema:
    """Describe a question for a job; beside an input, `request_id` means nothing."""
    others = [{"required": [name]} for name in sorted(INPUTS)]
    return {**POLL, "not": {"anyOf": others}}


_ONE_ERROR: Final = record(
    {"code": _INTEGER, "message": _STRING},
    {"error_chain": listed(record({"code": _INTEGER, "message": _STRING}))},
)

_REST_ERROR: Final = record(
    {
        "result": {"type": ["object", "null"], "maxProperties": 0},
        "success": {"const": False},
        "errors": listed(_ONE_ERROR, minItems=1, maxItems=1),
        "messages": listed(_OBJECT, maxItems=0),
    }
)

_JOB: Final = {
    **record(
        {
            "status": {"enum": ["queued", "running"]},
            "request_id": {"type": "string", "format": "uuid"},
            "model": _STRING,
        }
    ),
    "description": "A job that is not done; its request_id asks for it again.",
}

_JOB_RESULT: Final = {"shape", "data", "pooling"}
_OTHER_ANSWERS: Final = [one for kind in KINDS.values() for one in kind.answers]
_RESPONSE: Final = record(
    {
        "id": {"type": "integer", "minimum": 0, "description": "Index in `requests`."},
        "result": {
            "description": "As a direct call's, without `usage`; empty if the request failed.",
            "anyOf": [
                {
                    "type": "object",
                    "properties": {
                        name: schema
                        for name, schema in EMBEDDINGS_ANSWER["properties"].items()
                        if name in _JOB_RESULT
                    },
                    "required": sorted(_JOB_RESULT),
                },
                ref("OtherAnswer"),
                {"type": "object", "maxProperties": 0},
            ],
        },
        "success": {"type": "boolean"},
        "external_reference": {"description": "As it was sent, whatever it was; null if not."},
    },
    {"errors": {**listed(_ONE_ERROR, minItems=1, maxItems=1), "description": "If it failed."}},
)

_RESPONSES: Final = record(
    {"responses": listed(ref("Response")), "usage": EMBEDDINGS_ANSWER["properties"]["usage"]}
)

_RUN_ANSWER: Final = {
    "description": "Vectors or scores, a job that is not done, or a finished job's responses.",
    "anyOf": [ref("EmbeddingAnswer"), ref("OtherAnswer"), ref("Job"), ref("Responses")],
}

_BINDING_ERROR: Final = record(
    {
        "name": {"const": "AiError"},
        "internalCode": _INTEGER,
        "httpCode": _INTEGER,
        "message": _STRING,
        "description": _STRING,
        "requestId": {"type": "string", "format": "uuid"},
    }
)

_OPENAI_ERROR: Final = {
    "allOf": [
        ref("Error"),
        record(
            {
                "error": record(
                    {
                        "message": _STRING,
                        "type": _STRING,
                        "param": {"type": ["string", "null"]},
                        "code": _STRING,
                    }
                )
            }
        ),
    ]
}

_BINDING_OPTIONS: Final = {
    "description": "Run options; of them, `queueRequest: true` queues the inputs.",
}

_TOKEN_IDS: Final = {
    **listed({"type": "integer", "minimum": 0}, minItems=1, maxItems=MAX_TOKEN_IDS),
    "description": "One text, as token ids of the model's own vocabulary.",
}

_ONE_TEXT: Final[Schema] = {"type": "string", "minLength": 1}

_OPENAI_INPUT: Final = record(
    {
        "model": {"type": "string", "minLength": 1, "description": "Any of a model's ids."},
        "input": {
            "description": "One text or several, each in words or in token ids.",
            "anyOf": [
                _ONE_TEXT,
                _TOKEN_IDS,
                listed({"anyOf": [_ONE_TEXT, _TOKEN_IDS]}, minItems=1, maxItems=MAX_INPUTS),
            ],
        },
    },
    {
        "encoding_format": {
            **_optional({"enum": list(ENCODING_FORMATS)}),
            "description": "`float`, or `base64` of little-endian float32. `float` if left out.",
        },
        "dimensions": {
            **_optional({"type": "integer", "minimum": 1}),
            "description": "A width that the model was trained to be cut to.",
        },
        "pooling": {
            **_optional({"enum": list(POOLINGS)}),
            "description": "satsuma's own: the model's default if left out.",
        },
        "prompt_name": {
            **_optional(_STRING),
            "description": (
                "satsuma's own: which of the model's own prompts comes before each text; `\"\"` is "
                "none. If left out, the one that is usual with the model."
            ),
        },
        "user": {**_optional(_STRING), "description": "Not looked at."},
    },
)

_OPENAI_ANSWER: Final = record(
    {
        "object": {"const": "list"},
        "data": listed(
            record(
                {
                    "object": {"const": "embedding"},
                    "embedding": {"anyOf": [listed({"type": "number"}), _STRING]},
                    "index": {"type": "integer", "minimum": 0},
                }
            )
        ),
        "model": _STRING,
        "usage": record({"prompt_tokens": _INTEGER, "total_tokens": _INTEGER}),
    }
)

_DOCUMENT: Final = record({"text": _ONE_TEXT})

_RERANK_INPUT: Final = record(
    {
        "model": {"type": "string", "minLength": 1, "description": "Any of a model's ids."},
        "query": {**_ONE_TEXT, "description": "What the documents are compared with."},
        "documents": {
            **listed({"anyOf": [_ONE_TEXT, _DOCUMENT]}, minItems=1, maxItems=MAX_DOCUMENTS),
            "description": "Texts; a result names each by its index here.",
        },
    },
    {
        "top_n": {
            **_optional({"type": "integer", "minimum": 1}),
            "description": "How many results, the best ones. All if left out.",
        },
        "return_documents": {
            **_optional({"type": "boolean"}),
            "description": "Give each result its text. No if left out.",
        },
    },
)

_RERANKED: Final = record(
    {
        "model": _STRING,
        "results": {
            **listed(
                record(
                    {
                        "index": {"type": "integer", "minimum": 0},
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
        "usage": record({"prompt_tokens": _INTEGER, "total_tokens": _INTEGER}),
    }
)

_OPENAI_MODEL: Final = record(
    {"id": _STRING, "object": {"const": "model"}, "created": _INTEGER, "owned_by": _STRING}
)

_NAMED: Final = record({"id": _STRING, "name": _STRING, "description": _STRING})

_MODEL: Final = record(
    {
        "id": {"type": "string", "description": "Not the name that requests use, but a uuid."},
        "source": {"type": "integer", "description": "1 `@cf`, 2 `@hf`, 3 `@local`."},
        "name": {"type": "string", "description": "The id that requests use."},
        "description": _STRING,
        "task": ref("Task"),
        "tags": listed(_STRING),
        "properties": {
            **listed(record({"property_id": _STRING, "value": {"type": ["string", "array"]}})),
            "description": (
                f"Cloudflare's, `{INSTALLED_PROPERTY}` (are the weights here?) and, where it is "
                f"known, `{LICENCE_PROPERTY}`."
            ),
        },
    },
    {"created_at": {"type": "string", "description": "UTC; left out where nobody knows it."}},
)

_COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
_RESULT_INFO: Final = record(
    {"count": _COUNT, "page": _COUNT, "per_page": _COUNT, "total_count": _COUNT}
)

_SECONDS: Final[Schema] = {"type": "number", "minimum": 0}
_SPAN: Final = {
    **listed(_COUNT, minItems=2, maxItems=2),
    "description": "The token's first character in the text, and the one after its last.",
}
_TOKENISED: Final = record(
    {"tokens": _COUNT, "is_truncated": {"type": "boolean"}, "spans": listed(_SPAN)}
)
_DURATIONS: Final = _optional(record(dict.fromkeys(("p50_s", "p95_s", "p99_s"), _SECONDS)))
_LOADED: Final = record(
    {
        "id": _STRING,
        "precision": {"enum": [precision.value for precision in Precision]},
        "memory_bytes": _COUNT,
        "hidden_size": _COUNT,
        "max_tokens": _COUNT,
    }
)
_LAST_MINUTE: Final = record(
    {
        **dict.fromkeys(("answered", "refused", "failed", "tokens"), _COUNT),
        "tokens_by_second": {
            **listed(_COUNT, minItems=WINDOW_S, maxItems=WINDOW_S),
            "description": "Of the last whole seconds, oldest first.",
        },
        "latency": {**_DURATIONS, "description": "From a request's start to its vectors."},
        "queue": {**_DURATIONS, "description": "The part of it spent waiting."},
    }
)
_STATS: Final = record(
    {
        "version": _STRING,
        "account": {**_optional(_STRING), "description": "The token's; null where none is asked."},
        "uptime_s": _SECONDS,
        "models": listed(ref("LoadedModel")),
        "waiting": record({"tokens": _COUNT, "requests": _COUNT, "engine_s": _SECONDS}),
        "last_minute": _LAST_MINUTE,
    }
)

SHAPES: Final[dict[str, Schema]] = {
    "EmbeddingInput": _embedding_input(),
    "QueueInput": _queue_input(),
    "PollInput": _poll_input(),
    "RunInput": {"oneOf": [ref("EmbeddingInput"), ref("QueueInput"), ref("PollInput")]},
    "EmbeddingAnswer": EMBEDDINGS_ANSWER,
    "OtherAnswer": {
        "description": "What models answer that are no plain text encoders: `models/schema`.",
        "anyOf": _OTHER_ANSWERS,
    },
    "Job": _JOB,
    "Response": _RESPONSE,
    "Responses": _RESPONSES,
    "RunAnswer": _RUN_ANSWER,
    "RunEnvelope": success(ref("RunAnswer")),
    "BindingInput": record({"inputs": ref("RunInput")}, {"options": _BINDING_OPTIONS}),
    "OpenAIInput": _OPENAI_INPUT,
    "OpenAIAnswer": _OPENAI_ANSWER,
    "RerankInput": _RERANK_INPUT,
    "Reranked": _RERANKED,
    "OpenAIModel": _OPENAI_MODEL,
    "OpenAIModels": record({"object": {"const": "list"}, "data": listed(ref("OpenAIModel"))}),
    "Task": _NAMED,
    "Author": _NAMED,
    "Model": _MODEL,
    "Models": success(listed(ref("Model")), result_info=_RESULT_INFO),
    "ModelSchemas": success(record({"input": _OBJECT, "output": _OBJECT})),
    "Tasks": success(listed(ref("Task"))),
    "Authors": success(listed(ref("Author"))),
    "Verified": success(record({"id": _STRING, "status": {"const": "active"}})),
    "TokenizeInput": record(
        {
            "model": {"type": "string", "minLength": 1, "description": "Any of a model's ids."},
            "text": EMBEDDINGS_INPUT["oneOf"][0]["properties"]["text"],
        }
    ),
    "Tokenized": success(record({"model": _STRING, "texts": listed(_TOKENISED)})),
    "LoadedModel": _LOADED,
    "Stats": success(_STATS),
    "Health": record({"status": {"const": "ok"}}),
    "Ready": record({"ready": {"const": True}, "models": listed(_STRING, minItems=1)}),
    "NotReady": record({"ready": {"const": False}, "reason": _STRING, "models": listed(_STRING)}),
    "Document": record({"openapi": _STRING, "info": _OBJECT, "paths": _OBJECT}),
    "Error": _REST_ERROR,
    "BindingError": _BINDING_ERROR,
    "OpenAIError": _OPENAI_ERROR,
}
