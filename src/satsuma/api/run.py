"""One call of a model, for REST and the binding alike: answer now, queue, or look at a job."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from satsuma.api.answers import (
    NUMBERS_AT_ONCE,
    answer_headers,
    enveloped,
    in_parts,
    json_response,
)
from satsuma.api.identity import request_id
from satsuma.api.inference import Inference
from satsuma.api.metering import RequestNotes, notes_of
from satsuma.api.queue_answers import job_response
from satsuma.api.queue_input import Ask, NewJob, Poll, is_large, parse_ask
from satsuma.api.raw import bytes_response, check_has_rows, wants_bytes
from satsuma.background import run_in_background
from satsuma.errors import JobNotFoundError, QueueUnavailableError
from satsuma.jobs.queue import JobQueue
from satsuma.jobs.records import Job, QueueLimits
from satsuma.kinds import kind_of
from satsuma.kinds.kind import Parsed
from satsuma.store.manifest import ModelManifest

# Where there is no queue, bodies are read all the same, to say what is wrong with them first.
_NO_QUEUE = QueueLimits(max_requests=100, max_texts=100, max_waiting_texts=0, results_s=0.0)


class Run:
    """Answers what a run route was asked."""

    def __init__(self, inference: Inference, queue: JobQueue | None) -> None:
        """Answer by this inference, and from this queue, if there is one."""
        self._inference = inference
        self._queue = queue

    async def answer(  # noqa: PLR0913  what a route knows of a call
        self,
        request: Request,
        model: ModelManifest,
        body: Any,
        *,
        account: str,
        is_queue_wanted: bool,
        is_enveloped: bool,
    ) -> Response:
        """Answer one call.

        Args:
            request: whose it is.
            model: that it names.
            body: the model's input, any JSON value.
            account: whose job it is, if it is one.
            is_queue_wanted: whether the client said so beside the input.
            is_enveloped: REST's envelope around the answer, or none for the binding.

        Raises:
            SatsumaError: whatever is wrong with it.
        """
        ask = await self._read(model, body, is_queue_wanted=is_queue_wanted)
        is_raw = wants_bytes(request)
        if is_raw:
            check_has_rows(ask)
        if isinstance(ask, Parsed):
            return await self._answer_now(
                request, model, ask, is_enveloped=is_enveloped, is_raw=is_raw
            )
        queue = self._queue
        if queue is None:
            raise QueueUnavailableError("This server has none.")
        if isinstance(ask, Poll):
            job = await _find(queue, account, model, ask)
        else:
            job = await self._accept(queue, account, model, ask, notes_of(request.scope))
        identity = request_id(request.scope)
        render = kind_of(model).render
        return await job_response(queue, job, identity, is_enveloped=is_enveloped, render=render)

    async def _answer_now(
        self,
        request: Request,
        model: ModelManifest,
        ask: Parsed,
        *,
        is_enveloped: bool,
        is_raw: bool,
    ) -> Response:
        result = await self._inference.embed(request, ask.request)
        headers = answer_headers(result, request_id(request.scope))
        if is_raw:
            return bytes_response(result, headers)
        bare = kind_of(model).render(result, ask.shown)
        if result.multi_vectors or result.vectors.size > NUMBERS_AT_ONCE:
            bare = await in_parts(bare)
        return json_response(enveloped(bare) if is_enveloped else bare, headers)

    async def _read(self, model: ModelManifest, body: Any, *, is_queue_wanted: bool) -> Ask:
        limits = _NO_QUEUE if self._queue is None else self._queue.limits

        def parse() -> Ask:
            return parse_ask(model, body, limits, is_queue_wanted=is_queue_wanted)

        return await run_in_background(parse) if is_large(body) else parse()

    async def _accept(
        self, queue: JobQueue, account: str, model: ModelManifest, ask: NewJob, notes: RequestNotes
    ) -> Job:
        """Queue what could be answered here: a direct call would be refused as well.

        Its tokens are charged now, by the estimate: any server may do it, at any time.
        """
        await self._inference.check_installed(model)
        if notes.hold is not None:
            await notes.hold(ask.num_tokens)
        job = await queue.accept(account, model.id, ask.requests)
        notes.num_charged = ask.num_tokens
        return job


async def _find(queue: JobQueue, account: str, model: ModelManifest, poll: Poll) -> Job:
    job = await queue.find(account, model.id, poll.request_id)
    if job is None:
        raise JobNotFoundError(
            "There is no such request_id of this account and model; answers are kept for "
            f"{queue.limits.results_s:g} s"
        )
    return job
