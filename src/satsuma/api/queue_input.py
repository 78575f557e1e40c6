"""What a run route is asked: to answer now, to queue, or how far a queued job is.

The model's kind decides what is valid; here the queue's part of it becomes the requests of a job.

Source: https://developers.cloudflare.com/workers-ai/features/batch-api/.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import orjson

from satsuma.api.estimates import estimate_tokens
from satsuma.api.validation import says_queue
from satsuma.errors import InvalidInputError, JobTooLargeError
from satsuma.jobs.inputs import write_inputs
from satsuma.jobs.records import NewRequest, QueueLimits
from satsuma.kinds import kind_of
from satsuma.kinds.explain import explain
from satsuma.kinds.kind import Parsed, parse_valid, read_input
from satsuma.kinds.schemas import POLL
from satsuma.store.manifest import ModelManifest

_INLINE_ITEMS: Final = 32
_MAX_REFERENCE_DEPTH: Final = 254  # orjson's; it reads 1,024

# The members without which no kind of model has an input.
INPUTS: Final = frozenset({"text", "requests", "contexts", "queries", "documents"})


@dataclass(frozen=True, slots=True)
class Poll:
    """A question for a job."""

    request_id: str


@dataclass(frozen=True, slots=True)
class NewJob:
    """Requests for the queue."""

    requests: tuple[NewRequest, ...]

    @property
    def num_tokens(self) -> int:
        """About how many tokens they have."""
        return sum(one.num_tokens for one in self.requests)


Ask = Parsed | NewJob | Poll


def is_large(body: Any) -> bool:
    """Tell a body that had better be looked at beside the event loop."""
    if not isinstance(body, dict):
        return False
    for name in ("requests", "contexts"):
        items = body.get(name)
        if isinstance(items, list | dict) and len(items) > _INLINE_ITEMS:
            return True
    return False


def parse_ask(
    model: ModelManifest, body: Any, limits: QueueLimits, *, is_queue_wanted: bool
) -> Ask:
    """Read what a run route is asked. `requests` can mean the queue alone, whatever else is said.

    Args:
        model: whose input it is.
        body: any JSON value.
        limits: the queue's.
        is_queue_wanted: whether the client said so beside the body.

    Raises:
        InvalidInputError: if it breaks the input schema.
        JobTooLargeError: if one call may not have so many requests.
    """
    if _is_poll(body):
        return _parse_poll(body)
    _check_count(body, limits)
    parsed = read_input(kind_of(model), model.id, body)
    if parsed is None:
        places = [f"/requests/{position}" for position in range(len(body["requests"]))]
        return _new_job(model, zip(places, body["requests"], strict=True))
    if is_queue_wanted or says_queue(body):
        return _new_job(model, [("", body)])
    return parsed


def _is_poll(body: Any) -> bool:
    """Tell a question for a job; beside an input, `request_id` means nothing."""
    return isinstance(body, dict) and "request_id" in body and not INPUTS & body.keys()


def _parse_poll(body: dict[str, Any]) -> Poll:
    refusal = explain(POLL, body)
    if refusal is not None:
        raise InvalidInputError(refusal)
    return Poll(body["request_id"])


def _check_count(body: Any, limits: QueueLimits) -> None:
    """Refuse too many requests before the schema is held to each of them."""
    requests = body.get("requests") if isinstance(body, dict) else None
    if isinstance(requests, list | dict) and len(requests) > limits.max_requests:
        raise JobTooLargeError(
            f"{len(requests)} requests in one call, and at most {limits.max_requests} are taken"
        )


def _new_job(model: ModelManifest, inputs: Iterable[tuple[str, dict[str, Any]]]) -> NewJob:
    return NewJob(tuple(_new_request(model, pointer, valid) for pointer, valid in inputs))


def _new_request(model: ModelManifest, pointer: str, valid: dict[str, Any]) -> NewRequest:
    """Keep of a valid input what answering needs, and the client's name for it.

    Args:
        model: whose input it is.
        pointer: where in the body it is.
        valid: the input.
    """
    parsed = parse_valid(kind_of(model), model.id, valid)
    if parsed.request.outputs:
        message = "`outputs` are for direct calls: the queue keeps vectors and scores alone"
        raise InvalidInputError(message, param="outputs")
    return NewRequest(
        inputs=write_inputs(parsed.request, parsed.shown),
        external_reference=_write_reference(valid.get("external_reference"), pointer),
        num_texts=len(parsed.request.texts),
        num_tokens=estimate_tokens(parsed.request, model),
    )


def _write_reference(reference: Any, pointer: str) -> bytes:
    """Write the client's name for a request, which may be any JSON that orjson writes again."""
    try:
        return orjson.dumps(reference)
    except orjson.JSONEncodeError as error:  # it reads deeper than it writes
        message = (
            f"Nesting of '{pointer}/external_reference' must be <= {_MAX_REFERENCE_DEPTH} not met"
        )
        raise InvalidInputError(message, param="external_reference") from error
