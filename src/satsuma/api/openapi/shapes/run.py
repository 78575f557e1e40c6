"""What calls of models take and answer, at once or from the queue; and a Worker's binding."""

from __future__ import annotations

from typing import Final

from satsuma.api.openapi.shapes.errors import ONE_ERROR
from satsuma.api.openapi.shapes.words import STRING, listed, record, ref, success
from satsuma.api.queue_input import INPUTS
from satsuma.kinds import KINDS
from satsuma.kinds.embedding import EMBEDDINGS_ANSWER, EMBEDDINGS_INPUT
from satsuma.kinds.schemas import POLL, Schema


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


_JOB: Final = {
    **record(
        {
            "status": {"enum": ["queued", "running"]},
            "request_id": {"type": "string", "format": "uuid"},
            "model": STRING,
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
    {"errors": {**listed(ONE_ERROR, minItems=1, maxItems=1), "description": "If it failed."}},
)

_RESPONSES: Final = record(
    {"responses": listed(ref("Response")), "usage": EMBEDDINGS_ANSWER["properties"]["usage"]}
)

_RUN_ANSWER: Final = {
    "description": "Vectors or scores, a job that is not done, or a finished job's responses.",
    "anyOf": [ref("EmbeddingAnswer"), ref("OtherAnswer"), ref("Job"), ref("Responses")],
}

_BINDING_OPTIONS: Final = {
    "description": "Run options; of them, `queueRequest: true` queues the inputs.",
}

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
}
