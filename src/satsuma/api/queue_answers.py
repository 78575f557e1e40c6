"""What the queue answers: a ticket, how far a job is, and a finished job's responses.

A small job's responses are one answer; a large one's are written piece by piece as they are sent.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any, Final

import orjson
from starlette.responses import Response, StreamingResponse

from satsuma.api.answers import enveloped, json_response
from satsuma.api.envelopes import Failure
from satsuma.api.errors import find_answer
from satsuma.errors import (
    AttemptsSpentError,
    ContextExceededError,
    InvalidInputError,
    JobCancelledError,
    SatsumaError,
    TextTooLongError,
)
from satsuma.jobs.queue import JobQueue
from satsuma.jobs.records import Answered, Job, Reason
from satsuma.jobs.states import JobStatus
from satsuma.kinds.embedding import EMBEDDING
from satsuma.kinds.kind import Kept, Render
from satsuma.types import Usage

# What a failed request's reason may be; any other is an internal error, without its text.
_REASONS: Final[dict[str, type[SatsumaError]]] = {
    one.code: one
    for one in (
        AttemptsSpentError,
        ContextExceededError,
        InvalidInputError,
        JobCancelledError,
        TextTooLongError,
    )
}
_ENVELOPE: Final = (b'{"result":', b',"success":true,"errors":[],"messages":[]}')


async def job_response(
    queue: JobQueue,
    job: Job,
    identity: str,
    *,
    is_enveloped: bool,
    render: Render = EMBEDDING.render,
) -> Response:
    """Answer a poll, or the call that made the job.

    Args:
        queue: where the job is.
        job: as it was looked up.
        identity: the request's uuid.
        is_enveloped: REST's envelope around the answer, or none for the binding.
        render: writes one request's answer, as the model's kind has it.

    Raises:
        QueueUnavailableError: if the database does not answer.
    """
    headers = {"cf-ai-req-id": identity}
    if job.status is not JobStatus.DONE:
        ticket = {"status": job.status, "request_id": job.request_id, "model": job.model}
        return json_response(enveloped(ticket) if is_enveloped else ticket, headers)
    headers |= await _headers(queue, job)
    pages = _pages(queue, job, render, is_enveloped=is_enveloped)
    first = [await anext(pages)]  # what cannot be read at all is an error, not a cut answer
    with suppress(StopAsyncIteration):
        first.append(await anext(pages))
    if len(first) == 1:
        return Response(first[0], headers=headers, media_type="application/json")
    return StreamingResponse(_chain(first, pages), headers=headers, media_type="application/json")


async def _headers(queue: JobQueue, job: Job) -> dict[str, str]:
    """Say of a finished job what direct answers say of theirs."""
    precisions = await queue.precisions(job)
    headers = {"x-satsuma-precision": ", ".join(precisions)} if precisions else {}
    if job.num_truncated:
        headers["x-satsuma-truncated"] = str(job.num_truncated)
    return headers


async def _pages(
    queue: JobQueue, job: Job, render: Render, *, is_enveloped: bool
) -> AsyncIterator[bytes]:
    """Write a finished job's answer in pieces."""
    before, after = _ENVELOPE if is_enveloped else (b"", b"")
    usage = orjson.dumps(Usage(job.prompt_tokens).to_json())
    start, end = before + b'{"responses":[', b'],"usage":' + usage + b"}" + after
    num_written = 0
    async for page in queue.answers(job, lambda one: write_answer(job.request_id, one, render)):
        num_written += len(page)
        is_last = num_written == job.num_requests
        yield start + b",".join(page) + (end if is_last else b"")
        start = b","
    if not num_written:
        yield start + end


async def _chain(first: Sequence[bytes], rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    for piece in first:
        yield piece
    async for piece in rest:
        yield piece


def write_answer(request_id: str, answered: Answered, render: Render = EMBEDDING.render) -> bytes:
    """Write one of `responses`. Takes milliseconds for many vectors: not for the event loop."""
    vectors = answered.vectors
    kept = None if vectors is None else Kept(vectors, answered.pooling)
    result = {} if kept is None else render(kept, answered.shown)
    written = {
        "id": answered.position,
        "result": result,
        "success": answered.reason is None,
        "external_reference": orjson.Fragment(answered.external_reference),
    }
    if answered.reason is not None:
        written["errors"] = [_error(request_id, answered.reason)]
    return orjson.dumps(written, option=orjson.OPT_SERIALIZE_NUMPY)


def _error(request_id: str, reason: Reason) -> dict[str, Any]:
    """Say why a request failed as the same failure of a direct call is said."""
    error_type = _REASONS.get(reason.code, SatsumaError)
    description = find_answer(error_type).describe(error_type(reason.message))
    failure = Failure(error_type, description, request_id)
    return {"message": failure.message, "code": failure.answer.code}
