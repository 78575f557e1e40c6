"""What the document's operations have in common: parameters, bodies, and what can go wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from satsuma.api.errors import (
    DeprecatedClientError,
    IncompleteRequestError,
    InvalidQueryError,
    MalformedAccountError,
    MethodNotAvailableError,
    NoRouteError,
    NotAcceptableError,
    UnlistedModelError,
)
from satsuma.api.openapi.answers import json_content
from satsuma.api.openapi.examples import MODEL as MODEL_ID
from satsuma.auth.tokens import ACCOUNT_ID
from satsuma.errors import (
    AuthenticationError,
    ContextExceededError,
    DeadlineExceededError,
    InvalidInputError,
    JobNotFoundError,
    JobTooLargeError,
    MalformedCredentialsError,
    MalformedJsonError,
    MissingCredentialsError,
    ModelNotFoundError,
    ModelNotInstalledError,
    OverloadedError,
    QueueFullError,
    QueueUnavailableError,
    RateLimitedError,
    RequestTooLargeError,
    SatsumaError,
    SelfTestError,
    ShuttingDownError,
    TextTooLongError,
    UnsupportedModelError,
)
from satsuma.kinds.schemas import Schema

Operation = dict[str, Any]
Errors = tuple[type[SatsumaError], ...]

OPEN: Final = (MethodNotAvailableError, RequestTooLargeError, SatsumaError)
CLOSED: Final = (
    *OPEN,
    MissingCredentialsError,
    MalformedCredentialsError,
    AuthenticationError,
    ShuttingDownError,
)
PER_ACCOUNT: Final = (*CLOSED, MalformedAccountError, NoRouteError)
INFERENCE: Final = (
    InvalidInputError,
    MalformedJsonError,
    ContextExceededError,
    TextTooLongError,
    ModelNotFoundError,
    UnsupportedModelError,
    ModelNotInstalledError,
    SelfTestError,
    OverloadedError,
    RateLimitedError,
    DeadlineExceededError,
)
RUN: Final = (
    NotAcceptableError,
    JobTooLargeError,
    JobNotFoundError,
    QueueFullError,
    QueueUnavailableError,
)

BINDING: Final = (*CLOSED, *INFERENCE, *RUN, IncompleteRequestError, DeprecatedClientError)
CATALOG: Final = (InvalidQueryError, UnlistedModelError)
ALL: Final[Errors] = (*PER_ACCOUNT, *BINDING, *CATALOG)

QUEUE_REQUEST: Final = {
    "name": "queueRequest",
    "in": "query",
    "description": "`true` queues the body, also where that is a single input.",
    "schema": {"type": "string"},
    "example": "true",
}

ACCOUNT: Final = {
    "name": "account_id",
    "in": "path",
    "required": True,
    "description": "The token's own account. Any, while no token was made.",
    "schema": {"type": "string", "pattern": f"^(?:{ACCOUNT_ID.pattern})$"},
    "example": "me",
}
MODEL: Final = {
    "name": "model",
    "in": "path",
    "required": True,
    "description": "Any of a model's ids, slashes as they are or as %2F.",
    "schema": {"type": "string", "minLength": 1},
    "example": MODEL_ID,
}
BINDING_MODEL: Final = {
    "name": "cf-consn-model-id",
    "in": "header",
    "required": True,
    "description": "Any of a model's ids, perhaps after a prefix and a colon.",
    "schema": {"type": "string", "minLength": 1},
    "example": MODEL_ID,
}
BINDING_VERSION: Final = {
    "name": "version",
    "in": "query",
    "required": True,
    "description": "The binding's protocol; others are answered with 405.",
    "schema": {"enum": ["3"]},
    "example": "3",
}


def operation(tag: str, summary: str, responses: dict[str, Any], **more: Any) -> Operation:
    """Put an operation together; what has no value is left out."""
    given = {name: value for name, value in more.items() if value}
    return {"tags": [tag], "summary": summary, **given, "responses": responses}


def body(shape: str, says: str) -> dict[str, Any]:
    """Describe a body of a component's shape."""
    return {"description": says, "required": True, "content": json_content(shape)}


def query(schemas: Mapping[str, Schema]) -> list[Operation]:
    """Describe a query's parameters by the schemas that read them."""
    return [
        {
            "name": name,
            "in": "query",
            "description": schema["description"],
            "schema": {key: value for key, value in schema.items() if key != "description"},
        }
        for name, schema in schemas.items()
    ]


def closed(parameters: tuple[Operation, ...]) -> Errors:
    """List what can go wrong on a path with these parameters before its handler is asked."""
    return PER_ACCOUNT if parameters else CLOSED
