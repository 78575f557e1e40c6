"""Everything that can go wrong, as one tree.

    SatsumaError
    +-- ConfigurationError            a setting, flag or file that cannot be used
    +-- InvalidInputError             the request's content breaks the model's input schema
    |   +-- MalformedJsonError        the body is not JSON at all
    |   +-- ContextExceededError      more tokens than the model takes at once
    |       +-- TextTooLongError      one text has too many, and may not be cut
    +-- RequestTooLargeError          the body is above the limit
    |   +-- TooMuchWorkError          no idle server could do it within the deadline
    |   +-- JobTooLargeError          more than one call may put into the queue
    +-- AuthenticationError           the token is well formed and not accepted here
    |   +-- MissingCredentialsError   no credentials were sent
    |   +-- MalformedCredentialsError credentials of no known form were sent
    +-- ModelError
    |   +-- ModelNotFoundError        no such model
    |   +-- ModelNotInstalledError    known, and its weights are not on this machine
    |   +-- UnsupportedModelError     an architecture or tensor that the engine cannot run
    |   +-- SelfTestError             the vectors are not the published ones
    +-- StoreError
    |   +-- HubUnreachableError       no connection, cut connection, offline mode
    |   +-- HubNotFoundError          the hub has no such repository, revision or file
    |   +-- HubForbiddenError         the hub wants a token, or another one
    |   +-- DigestMismatchError       the bytes are not the published ones
    |   +-- DiskFullError             no room for the weights
    +-- OverloadedError               the waiting room is full
    |   +-- RateLimitedError          an account or a token asked for more than its minute's worth
    |   +-- QueueFullError            the asynchronous queue is full
    +-- DeadlineExceededError         not done within the request's deadline
    +-- ShuttingDownError             the server is stopping and takes no new work
    +-- EngineError                   the runtime failed on this item
    |   +-- EngineDiedError           an engine thread ended while it held this item
    |   +-- WeightsChangedError       the mapped weights were written to while they were in use
    +-- QueueError
    |   +-- QueueUnavailableError     the queue's database does not answer
    |   +-- LeaseLostError            other servers took this one for dead
    |   +-- JobNotFoundError          nothing is kept under this request id
    |   +-- AttemptsSpentError        a queued request failed as often as it may
    |   +-- JobCancelledError         an operator cancelled the job
    +-- RemoteError                   a server refused a call of `Ai(base_url=...)`
    +-- FrontsFailedError             no process that speaks HTTP can be started
    +-- ClusterError                  a Ray cluster cannot be reached, or cannot do it

Each class has a stable string `code`. Nothing here knows HTTP: `api/errors.py` has the one
table that maps these classes to statuses and numeric codes.
"""

from __future__ import annotations

from typing import ClassVar


class SatsumaError(Exception):
    """Base of every error that satsuma raises on purpose; `str()` is fit for a user to read."""

    code: ClassVar[str] = "satsuma_error"


class ConfigurationError(SatsumaError):
    """A setting, flag or file cannot be used; the message says which, and what would do."""

    code = "configuration"


class InvalidInputError(SatsumaError):
    """The request's content breaks the model's input schema; the message is the validator's.

    Attributes:
        param: the request's member that is at fault, where it is one alone.
    """

    code = "invalid_input"

    def __init__(self, message: str, *, param: str | None = None) -> None:
        """Keep the member's name beside the message."""
        super().__init__(message)
        self.param = param


class MalformedJsonError(InvalidInputError):
    """The body is not JSON; the message points at the byte."""

    code = "malformed_json"


class ContextExceededError(InvalidInputError):
    """The texts have more tokens together than the model takes at once; the message has both."""

    code = "context_exceeded"


class TextTooLongError(ContextExceededError):
    """A text has more tokens than the model reads, and the request lets none be cut."""

    code = "text_too_long"


class RequestTooLargeError(SatsumaError):
    """The body is above the configured limit."""

    code = "request_too_large"


class TooMuchWorkError(RequestTooLargeError):
    """The request could not be done within its deadline, however idle the server."""

    code = "too_much_work"


class JobTooLargeError(RequestTooLargeError):
    """One call put more into the queue than it may."""

    code = "job_too_large"


class AuthenticationError(SatsumaError):
    """The token is well formed, and unknown, revoked or another account's."""

    code = "authentication"


class MissingCredentialsError(AuthenticationError):
    """No credentials were sent."""

    code = "missing_credentials"


class MalformedCredentialsError(AuthenticationError):
    """The Authorization header has no known form."""

    code = "malformed_credentials"


class ModelError(SatsumaError):
    """Something about one model."""

    code = "model"


class ModelNotFoundError(ModelError):
    """No model has this id, here or on the hub."""

    code = "model_not_found"


class ModelNotInstalledError(ModelError):
    """The model is known and its weights are not here; the message says how to get them."""

    code = "model_not_installed"


class UnsupportedModelError(ModelError):
    """The engine cannot run this model; the message says what of it, and what it can run."""

    code = "unsupported_model"


class SelfTestError(ModelError):
    """A loaded model does not give its published vectors."""

    code = "self_test"


class StoreError(SatsumaError):
    """Fetching or keeping weights failed."""

    code = "store"


class HubUnreachableError(StoreError):
    """The hub did not answer, the connection was cut, or offline mode forbids asking."""

    code = "hub_unreachable"


class HubNotFoundError(StoreError):
    """The hub answered that it has no such repository, revision or file."""

    code = "hub_not_found"


class HubForbiddenError(StoreError):
    """The hub refused the token, or wants one."""

    code = "hub_forbidden"


class DigestMismatchError(StoreError):
    """A file's size or sha256 is not the published one."""

    code = "digest_mismatch"


class DiskFullError(StoreError):
    """There is no room for the weights."""

    code = "disk_full"


class OverloadedError(SatsumaError):
    """The waiting room is full.

    Attributes:
        retry_after_s: seconds until there should be room again, from the measured rate.
    """

    code = "overloaded"

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        """Keep the wait beside the message."""
        super().__init__(message)
        self.retry_after_s = retry_after_s


class RateLimitedError(OverloadedError):
    """An account or a token asked for more than it may in a minute."""

    code = "rate_limited"


class QueueFullError(OverloadedError):
    """So many texts wait in the asynchronous queue that it takes no more."""

    code = "queue_full"


class DeadlineExceededError(SatsumaError):
    """The request was not done within its deadline."""

    code = "deadline_exceeded"


class ShuttingDownError(SatsumaError):
    """The server is stopping and takes no new work."""

    code = "shutting_down"


class EngineError(SatsumaError):
    """The runtime failed on this item, and on it alone."""

    code = "engine"


class EngineDiedError(EngineError):
    """The engine thread that held this item ended; a new one has been started."""

    code = "engine_died"


class WeightsChangedError(EngineError):
    """The weights on the disk were written to while they were in use; they are loaded anew."""

    code = "weights_changed"


class QueueError(SatsumaError):
    """Something about the asynchronous queue."""

    code = "queue"


class QueueUnavailableError(QueueError):
    """The queue's database does not answer; other requests do not need it."""

    code = "queue_unavailable"


class LeaseLostError(QueueError):
    """Other servers took this one for dead, and do what it had taken of the queue."""

    code = "lease_lost"


class JobNotFoundError(QueueError):
    """The queue keeps nothing under this request id, for this account and model."""

    code = "job_not_found"


class AttemptsSpentError(QueueError):
    """A queued request failed as often as it may."""

    code = "attempts_spent"


class JobCancelledError(QueueError):
    """An operator cancelled a queued job."""

    code = "job_cancelled"


class RemoteError(SatsumaError):
    """A server refused a call, or could not be reached.

    Attributes:
        status: HTTP status; 0 if there was no answer.
        error_code: the numeric code of the first error, such as 5007; 0 if there is none.
    """

    code = "remote"

    def __init__(self, message: str, *, status: int, error_code: int = 0) -> None:
        """Keep what the server said."""
        super().__init__(f"{error_code}: {message}" if error_code else message)
        self.status = status
        self.error_code = error_code


class ClusterError(SatsumaError):
    """A Ray cluster cannot be reached, or cannot run what it was asked to; the message says why."""

    code = "cluster"


class FrontsFailedError(SatsumaError):
    """The processes that speak HTTP end as soon as they are started; their log lines say why."""

    code = "fronts_failed"
