"""What goes into the queue and what comes out: plain frozen records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from satsuma.jobs.states import Attempts, JobStatus, status_of
from satsuma.types import EmbedResult, FloatArray


class Place(NamedTuple):
    """Names a request: its job's id, and its index in the job."""

    request_id: str
    position: int


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """How much the queue takes.

    Attributes:
        max_requests: of one call.
        max_texts: of one call.
        max_waiting_texts: of all jobs that are not done.
        results_s: how long a job's answers are kept once it is done.
    """

    max_requests: int
    max_texts: int
    max_waiting_texts: int
    results_s: float


@dataclass(frozen=True, slots=True)
class NewRequest:
    """A request as it was sent.

    Attributes:
        inputs: JSON, as `inputs.py` writes it.
        external_reference: JSON of what the client calls it.
        num_texts: how many texts it has.
        num_tokens: about how many tokens those have.
    """

    inputs: bytes
    external_reference: bytes
    num_texts: int
    num_tokens: int


@dataclass(frozen=True, slots=True)
class Job:
    """The requests of one call, and how far they are. Times are seconds since 1970.

    Attributes:
        expires_at_s: when the answers go; None until the job is done.
        num_finished: requests that have an answer, failures included.
        num_truncated: texts that lost their end to the model's limit.
    """

    request_id: str
    account: str
    model: str
    created_at_s: float
    begun_at_s: float | None
    finished_at_s: float | None
    expires_at_s: float | None
    num_requests: int
    num_texts: int
    num_finished: int
    num_failed: int
    prompt_tokens: int
    num_truncated: int

    @property
    def status(self) -> JobStatus:
        """What a poll is told."""
        return status_of(
            has_begun=self.begun_at_s is not None,
            num_finished=self.num_finished,
            num_requests=self.num_requests,
        )


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a request failed: an error's stable code, and its words."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Answered:
    """A finished request.

    Attributes:
        vectors: (B, H) float32, or (B, 1) scores; None if it failed.
        reason: why it failed; None if it did not.
        shown: what the answer's writer has to know of the input.
    """

    position: int
    external_reference: bytes
    vectors: FloatArray | None
    pooling: str
    precision: str
    reason: Reason | None
    shown: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Claimed:
    """A request that this server has taken."""

    place: Place
    account: str
    model: str
    inputs: bytes
    num_tokens: int
    attempts: Attempts
    is_alone: bool


@dataclass(frozen=True, slots=True)
class Done:
    """The request was answered."""

    result: EmbedResult


@dataclass(frozen=True, slots=True)
class Erred:
    """The engine failed on it; it may be tried again."""

    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """It can never be answered."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class Released:
    """Nothing is known of it: whoever comes next takes it, as if it had not been taken."""


Ending = Done | Erred | Refused | Released


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a server's attempt at a request ended."""

    claimed: Claimed
    ending: Ending
