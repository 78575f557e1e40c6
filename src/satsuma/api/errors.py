"""Every failure's HTTP status, Cloudflare code and JSON shape: one table, and how it is applied.

Two shapes, as Cloudflare's: the model layer's (`result` is {}, the message carries the request's
id) and the general one (`result` is null). docs/errors.md is generated from `error_rows()`.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import orjson
from starlette.responses import Response

from satsuma.errors import (
    AuthenticationError,
    ConfigurationError,
    DeadlineExceededError,
    EngineError,
    InvalidInputError,
    MalformedCredentialsError,
    MissingCredentialsError,
    ModelError,
    ModelNotFoundError,
    OverloadedError,
    RemoteError,
    RequestTooLargeError,
    SatsumaError,
    ShuttingDownError,
    StoreError,
    UnsupportedModelError,
)

_logger = logging.getLogger("satsuma.api")

_INTERNAL: Final = "An internal server error occured."  # Cloudflare's spelling; clients match it


class NoRouteError(SatsumaError):
    """No route has this path."""

    code = "no_route"


class MethodNotAvailableError(SatsumaError):
    """The path exists, and not for this method.

    Attributes:
        allow: the methods that there are, as the Allow header wants them.
    """

    code = "method_not_available"

    def __init__(self, message: str, *, allow: str) -> None:
        """Keep the methods beside the message."""
        super().__init__(message)
        self.allow = allow


class MalformedAccountError(SatsumaError):
    """The path's account id has an impossible form."""

    code = "malformed_account"


@dataclass(frozen=True, slots=True)
class Answer:
    """One row of the table.

    Attributes:
        code: Cloudflare's numeric code, or the nearest that its clients understand.
        says: a fixed description; None gives the exception's own text.
        kind: the word after `AiError: ` in the model layer's message; "" is the general layer.
        prefix: opens the description.
        chain: the general layer's `error_chain`.
    """

    status: int
    code: int
    says: str | None = None
    kind: str = ""
    prefix: str = ""
    chain: tuple[int, str] | None = None

    @property
    def is_model_layer(self) -> bool:
        """Whether the model layer's shape is used."""
        return self.kind != ""

    def describe(self, error: BaseException) -> str:
        """Give the description without the layer's frame."""
        return self.prefix + (str(error) if self.says is None else self.says)


_AI: Final = "AiError"
_UNEXPECTED: Final = Answer(500, 4007, _INTERNAL, kind=_AI)
_UNAVAILABLE_MODEL: Final = Answer(503, 5007, kind=_AI)

# A class without a row of its own uses that of its nearest ancestor with one.
TABLE: Final[dict[type[SatsumaError], Answer]] = {
    SatsumaError: _UNEXPECTED,
    ConfigurationError: _UNEXPECTED,
    InvalidInputError: Answer(400, 5006, kind="Bad input", prefix="Error: "),
    RequestTooLargeError: Answer(413, 3006, "Request is too large", kind=_AI),
    AuthenticationError: Answer(401, 10000, "Authentication error"),
    MissingCredentialsError: Answer(
        400, 9106, "Missing X-Auth-Key, X-Auth-Email or Authorization headers"
    ),
    MalformedCredentialsError: Answer(
        400,
        6003,
        "Invalid request headers",
        chain=(6111, "Invalid format for Authorization header"),
    ),
    ModelError: _UNAVAILABLE_MODEL,
    ModelNotFoundError: Answer(400, 5007, kind=_AI),
    UnsupportedModelError: Answer(400, 5007, kind=_AI),
    StoreError: _UNAVAILABLE_MODEL,
    OverloadedError: Answer(
        429, 3040, "Capacity temporarily exceeded, please try again.", kind=_AI
    ),
    DeadlineExceededError: Answer(408, 3007, "Request timeout", kind=_AI),
    ShuttingDownError: Answer(503, 3040, kind=_AI),
    EngineError: _UNEXPECTED,
    RemoteError: _UNEXPECTED,
    NoRouteError: Answer(400, 7000, "No route for that URI"),
    MethodNotAvailableError: Answer(405, 7001),
    MalformedAccountError: Answer(404, 7003),
}


def find_answer(error_type: type[BaseException]) -> Answer:
    """Find the row of an exception's class or of its nearest ancestor; any other is unexpected."""
    ancestors = (one for one in error_type.__mro__ if issubclass(one, SatsumaError))
    return next((TABLE[one] for one in ancestors if one in TABLE), _UNEXPECTED)


def error_rows() -> list[tuple[str, str, int, int, str]]:
    """List (class, its stable code, HTTP status, Cloudflare code, message) of every error."""
    rows = []
    for error_type in _tree(SatsumaError):
        answer = find_answer(error_type)
        says = answer.prefix + (answer.says or "*what is wrong*")
        message = f"AiError: {answer.kind}: {says} (*request id*)" if answer.kind else says
        rows.append((error_type.__name__, error_type.code, answer.status, answer.code, message))
    return rows


def error_response(error: Exception, request_id: str) -> Response:
    """Make the answer to a failure, and write its one line of log.

    Args:
        error: a `SatsumaError`; anything else is answered as an internal error, without its text.
        request_id: the uuid of the answer's headers.
    """
    answer = find_answer(type(error))
    _log(error, answer, request_id)
    frame = _model_layer if answer.is_model_layer else _general_layer
    headers = {"cf-ai-req-id": request_id} if answer.is_model_layer else {}
    return Response(
        orjson.dumps(frame(answer, answer.describe(error), request_id)),
        status_code=answer.status,
        headers=headers | _extra_headers(error),
        media_type="application/json",
    )


def _model_layer(answer: Answer, description: str, request_id: str) -> dict[str, Any]:
    message = f"AiError: {answer.kind}: {description} ({request_id})"
    errors = [{"message": message, "code": answer.code}]
    return {"errors": errors, "success": False, "result": {}, "messages": []}


def _general_layer(answer: Answer, description: str, _request_id: str) -> dict[str, Any]:
    error: dict[str, Any] = {"code": answer.code, "message": description}
    if answer.chain is None:
        return {"result": None, "success": False, "errors": [error], "messages": []}
    error["error_chain"] = [dict(zip(("code", "message"), answer.chain, strict=True))]
    return {"success": False, "errors": [error], "messages": [], "result": None}


def _extra_headers(error: Exception) -> dict[str, str]:
    if isinstance(error, OverloadedError):
        return {"retry-after": str(max(1, math.ceil(error.retry_after_s)))}
    if isinstance(error, ShuttingDownError):
        return {"connection": "close", "retry-after": "1"}
    if isinstance(error, MethodNotAvailableError):
        return {"allow": error.allow}
    return {}


def _log(error: Exception, answer: Answer, request_id: str) -> None:
    """Write one line; a client's own mistakes say no more than their code, for texts are private.

    Only what the table has no words for brings its traceback.
    """
    name = error.code if isinstance(error, SatsumaError) else type(error).__name__
    line = f"request {request_id}: {answer.status} {answer.code} {name}"
    if answer is _UNEXPECTED:
        _logger.error("%s", line, exc_info=error)
    elif answer.status >= 500 and not isinstance(error, ShuttingDownError):
        _logger.warning("%s: %s", line, error)
    else:
        _logger.info("%s", line)


def _tree(root: type[SatsumaError]) -> Iterator[type[SatsumaError]]:
    """Walk a class and its descendants, ours only: not what a test or a plugin derives."""
    yield root
    for child in root.__subclasses__():
        if child.__module__ in {SatsumaError.__module__, __name__}:
            yield from _tree(child)
