"""The parts of JSON Schema that several kinds of models share, and that of a poll.

Their structure is Cloudflare's: cloudflare-docs, src/content/workers-ai-models. The words are
satsuma's own, and so are a few keywords, without which a plain reader of JSON Schema would not come
to what the server decides: `minItems` of the texts, the `type` of the queue's requests, and what
the answers hold for certain (`required`, `usage`).
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

Schema: TypeAlias = dict[str, Any]

MAX_TEXTS: Final = 100
MAX_CONTEXTS: Final = 1_000  # satsuma's own limit; Cloudflare publishes none

_MOST: Final = 1 << 53  # JSON's readers know no whole number above it for certain


def _text(description: str) -> Schema:
    """Describe a text, which is never empty."""
    return {"type": "string", "description": description, "minLength": 1}


def _listed(items: Schema, most: int, description: str) -> Schema:
    """Describe a list of one to so many."""
    return {
        "type": "array",
        "description": description,
        "items": items,
        "minItems": 1,
        "maxItems": most,
    }


def _numbers(description: str) -> Schema:
    """Describe a list of numbers."""
    return {"type": "array", "description": description, "items": {"type": "number"}}


ONE_TEXT: Final[Schema] = _text("A text to embed.")


def texts(most: int, description: str = "Texts to embed in one call.") -> Schema:
    """Describe one text, or a list of up to so many."""
    ordered = f"{description} Each gets a vector, in this order."
    return {"oneOf": [ONE_TEXT, _listed(ONE_TEXT, most, ordered)]}


QUERY: Final[Schema] = _text("What each of the contexts is compared with.")

_CONTEXT: Final[Schema] = {
    "type": "object",
    "properties": {"text": _text("One of the texts.")},
    "required": ["text"],
}

CONTEXTS: Final[Schema] = _listed(
    _CONTEXT, MAX_CONTEXTS, "Texts. The answer names each by its index here."
)

DIMENSIONS: Final[Schema] = {
    "type": "integer",
    "description": "satsuma's own: cuts the vectors to a width that the model was trained for.",
    "minimum": 1,
}

PROMPT_NAME: Final[Schema] = {
    "type": "string",
    "description": (
        "satsuma's own: the name of one of the model's own prompts, such as `query` or `document`, "
        'which comes before each text; `""` is none. If left out, the prompt that is usual with '
        "the model does."
    ),
}

_COUNT: Final[Schema] = {"type": "integer", "minimum": 0}

USAGE: Final[Schema] = {
    "type": "object",
    "description": "What was read, the special tokens of each text included.",
    "properties": {
        "prompt_tokens": _COUNT,
        "completion_tokens": _COUNT,
        "total_tokens": _COUNT,
    },
    "required": ["prompt_tokens", "completion_tokens", "total_tokens"],
}

SHAPE: Final[Schema] = _numbers("How many vectors, and how many numbers in each.")

VECTORS: Final[Schema] = {
    "type": "array",
    "description": "A vector for each text, in the order of the texts.",
    "items": _numbers("One text's vector."),
}

SCORES: Final[Schema] = {
    "type": "array",
    "description": "A score for each context.",
    "items": {
        "type": "object",
        "properties": {
            "id": {"type": "integer", "description": "The context's index in the request."},
            "score": {"type": "number", "description": "Higher is closer to the query."},
        },
        "required": ["id", "score"],
    },
}

TICKET: Final[Schema] = {
    "type": "object",
    "contentType": "application/json",
    "title": "Async response",
    "properties": {
        "request_id": {
            "type": "string",
            "description": "Asks the queue for the results later.",
        }
    },
    "required": ["request_id"],
}

# A poll is told from an input before the input's schema is asked; Cloudflare publishes none of it.
POLL: Final[Schema] = {
    "type": "object",
    "properties": {"request_id": {"type": "string", "minLength": 1}},
    "required": ["request_id"],
}


def read_count(value: float) -> int:
    """Read a whole number; of one beyond what any model has, what the queue can still write."""
    return int(min(value, _MOST))


def answer(properties: Schema, *optional: str, title: str = "") -> Schema:
    """Describe an answer by its members, all of which it has but for the optional ones."""
    named = {"title": title} if title else {}
    required = [name for name in properties if name not in optional]
    return {
        "type": "object",
        "contentType": "application/json",
        **named,
        "properties": properties,
        "required": required,
    }
