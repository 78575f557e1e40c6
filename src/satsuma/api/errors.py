"""Every failure's HTTP status and Cloudflare code: one table.

`envelopes.py` gives an answer its JSON shape. docs/errors.md is generated from `error_rows()`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from satsuma.errors import (
    AttemptsSpentError,
    AuthenticationError,
    ClusterError,
    ConfigurationError,
    ContextExceededError,
    DeadlineExceededError,
    EngineError,
    FrontsFailedError,
    InvalidInputError,
    JobCancelledError,
    JobNotFoundError,
    JobTooLargeError,
    MalformedCredentialsError,
    MissingCredentialsError,
    ModelError,
    ModelNotFoundError,
    OverloadedError,
    QueueError,
    QueueUnavailableError,
    RateLimitedError,
    RemoteError,
    RequestTooLargeError,
    SatsumaError,
    ShuttingDownError,
    StoreError,
    TooMuchWorkError,
    UnsupportedModelError,
)

_INTERNAL: Final = "An internal server error occured."  # Cloudflare's spelling; clients match it


_MAX_ECHO_CHARACTERS: Final = 200


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


class InvalidQueryError(SatsumaError):
    """A parameter of the query has an impossible value, or a needed one is missing."""

    code = "invalid_query"


class IncompleteRequestError(SatsumaError):
    """A Worker's request lacks a header or a part of its body."""

    code = "incomplete_request"


class NotAcceptableError(SatsumaError):
    """The client takes nothing but bytes, and the answer is more than rows of vectors."""

    code = "not_acceptable"


class DeprecatedClientError(SatsumaError):
    """A Worker's client speaks an older version of the binding's protocol."""

    code = "deprecated_client"


class UnlistedModelError(ModelNotFoundError):
    """The catalog was asked for a model that it does not have; on a run route that is a 400."""


def shorten(sent: str) -> str:
    """Cut what a client sent to what an error's message may repeat of it."""
    return sent[:_MAX_ECHO_CHARACTERS]


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
UNEXPECTED: Final = Answer(500, 4007, _INTERNAL, kind=_AI)
_UNAVAILABLE_MODEL: Final = Answer(503, 5007, kind=_AI)

# A class without a row of its own uses that of its nearest ancestor with one.
TABLE: Final[dict[type[SatsumaError], Answer]] = {
    SatsumaError: UNEXPECTED,
    ConfigurationError: UNEXPECTED,
    InvalidInputError: Answer(400, 5006, kind="Bad input", prefix="Error: "),
    ContextExceededError: Answer(400, 3030, kind=_AI),
    RequestTooLargeError: Answer(413, 3006, "Request is too large", kind=_AI),
    TooMuchWorkError: Answer(413, 3006, kind=_AI, prefix="Request is too large: "),
    JobTooLargeError: Answer(413, 3006, kind=_AI, prefix="Request is too large: "),
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
    RateLimitedError: Answer(
        429, 3021, "rate limiting: inference request per min rate reached", kind=_AI
    ),
    DeadlineExceededError: Answer(408, 3007, "Request timeout", kind=_AI),
    ShuttingDownError: Answer(503, 3040, kind=_AI),
    EngineError: UNEXPECTED,
    QueueError: UNEXPECTED,
    RemoteError: UNEXPECTED,
    ClusterError: UNEXPECTED,
    FrontsFailedError: UNEXPECTED,
    QueueUnavailableError: Answer(503, 3040, "The queue is not available, try again.", kind=_AI),
    JobNotFoundError: Answer(404, 7003, kind=_AI),
    AttemptsSpentError: Answer(500, 4007, kind=_AI, prefix="Given up: "),
    JobCancelledError: Answer(408, 3008, "Request was aborted", kind=_AI),
    NoRouteError: Answer(400, 7000, "No route for that URI"),
    MethodNotAvailableError: Answer(405, 7001),
    MalformedAccountError: Answer(404, 7003),
    InvalidQueryError: Answer(400, 1001),
    UnlistedModelError: Answer(404, 5007),
    IncompleteRequestError: Answer(
        400, 3003, kind=_AI, prefix="Request is missing headers or body: "
    ),
    NotAcceptableError: Answer(406, 5006, kind="Bad input", prefix="Error: "),
    DeprecatedClientError: Answer(
        405, 5019, "Request trying to use deprecated SDK version", kind=_AI
    ),
}


def find_answer(error_type: type[BaseException]) -> Answer:
    """Find the row of an exception's class or of its nearest ancestor; any other is unexpected."""
    ancestors = (one for one in error_type.__mro__ if issubclass(one, SatsumaError))
    return next((TABLE[one] for one in ancestors if one in TABLE), UNEXPECTED)


def error_rows() -> list[tuple[str, str, int, int, str]]:
    """List (class, its stable code, HTTP status, Cloudflare code, message) of every error."""
    rows = []
    for error_type in _tree(SatsumaError):
        answer = find_answer(error_type)
        says = answer.prefix + (answer.says or "*what is wrong*")
        message = f"AiError: {answer.kind}: {says} (*request id*)" if answer.kind else says
        rows.append((error_type.__name__, error_type.code, answer.status, answer.code, message))
    return rows


def _tree(root: type[SatsumaError]) -> Iterator[type[SatsumaError]]:
    """Walk a class and its descendants, ours only: not what a test or a plugin derives."""
    yield root
    for child in root.__subclasses__():
        if child.__module__ in {SatsumaError.__module__, __name__}:
            yield from _tree(child)
