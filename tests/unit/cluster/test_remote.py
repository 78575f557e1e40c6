"""A service whose replicas are stand-ins that answer, refuse, hang and die.

Needs Ray's exceptions, so these run in its environment: tests/functional/test_ray_units.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("ray", reason="Ray is in an environment of its own")

from ray.exceptions import ActorDiedError, ObjectLostError
from ray.serve.exceptions import (
    BackPressureError,
    DeploymentUnavailableError,
    RequestCancelledError,
)

from satsuma.activity import Activity
from satsuma.cluster import remote
from satsuma.cluster.remote import RemoteService
from satsuma.errors import (
    DeadlineExceededError,
    EngineDiedError,
    InvalidInputError,
    ModelNotFoundError,
    OverloadedError,
)
from satsuma.outcomes import Refusal
from satsuma.scheduler.admission import WaitingRoom
from satsuma.stats import Readiness, Stats
from satsuma.store.local import ModelStore
from satsuma.types import EmbedRequest, EmbedResult, Pooling, TextTokens, Timings, Usage

MODEL = "@cf/baai/bge-base-en-v1.5"
REQUEST = EmbedRequest(model=MODEL, texts=("x",))
QUEUED = EmbedRequest(model=MODEL, texts=("x",), is_background=True)
RESULT = EmbedResult(
    vectors=np.ones((1, 2), np.float32),
    pooling=Pooling.MEAN,
    usage=Usage(3),
    timings=Timings(0, 0, 0),
    num_truncated=0,
)
Outcome = EmbedResult | Refusal | BaseException


class Response:
    """What a call of a replica gives: to be awaited, or cancelled."""

    def __init__(self, work: Awaitable[Any]) -> None:
        """Wait for this."""
        self._work = work
        self.is_cancelled = False

    def cancel(self) -> None:
        """Note it."""
        self.is_cancelled = True

    def __await__(self) -> Generator[Any, None, Any]:
        """Wait; a cancelled wait gets the word that Serve has for it."""
        try:
            return (yield from self._work.__await__())
        except asyncio.CancelledError:
            raise RequestCancelledError from None


class Method:
    """A method of the replicas."""

    def __init__(self, work: Callable[..., Awaitable[Any]]) -> None:
        """Do this."""
        self._work = work
        self.responses: list[Response] = []

    def remote(self, *arguments: Any) -> Response:
        """Call it."""
        self.responses.append(Response(self._work(*arguments)))
        return self.responses[-1]


class Replicas:
    """A deployment whose replicas do one thing after another."""

    def __init__(self, *outcomes: Outcome) -> None:
        """Remember what to do; without any, hang."""
        self.outcomes = list(outcomes)
        self.models: list[str] = []
        self.is_asked = asyncio.Event()
        self.embed = Method(self._embed)
        self.readiness = Method(self._readiness)
        self.tokenize = Method(self._tokenize)
        self.stats = Method(self._stats)

    def options(self, *, multiplexed_model_id: str) -> Replicas:
        """Note the model that is preferred."""
        self.models.append(multiplexed_model_id)
        return self

    async def _embed(self, _: EmbedRequest) -> EmbedResult | Refusal:
        self.is_asked.set()
        if not self.outcomes:
            await asyncio.Event().wait()
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    async def _tokenize(self, _: str, texts: Sequence[str]) -> list[TextTokens] | Refusal:
        if self.outcomes:
            raise self.outcomes.pop(0)  # type: ignore[misc]
        return [TextTokens(len(text), is_truncated=False, spans=()) for text in texts]

    async def _stats(self) -> Stats:
        return Stats(7.0, WaitingRoom(3, 0.1), (), Activity().report())

    async def _readiness(self) -> Readiness:
        return Readiness(is_ready=True, reason="", models=(MODEL,))


Serve = Callable[..., RemoteService]


@pytest.fixture
async def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Serve]:
    """Make a service before replicas; it tries again at once."""
    monkeypatch.setattr(remote, "_PAUSE_S", 0.0)
    made: list[RemoteService] = []

    def make(replicas: Replicas, deadline_s: float = 30.0) -> RemoteService:
        made.append(RemoteService(replicas, ModelStore(tmp_path), deadline_s))
        return made[-1]

    yield make
    for service in made:
        service._watch.cancel()


async def test_asks_for_the_model_by_its_canonical_id(serve: Serve) -> None:
    """Once, and for the handle that prefers the replicas that have it."""
    replicas = Replicas(RESULT, RESULT)
    service = serve(replicas)
    for name in ("@hf/baai/bge-base-en-v1.5", MODEL):
        assert await service.embed(EmbedRequest(model=name, texts=("x",))) is RESULT
    assert replicas.models == [MODEL]


@pytest.mark.parametrize("lost", [ActorDiedError(), ObjectLostError("00", "", "")], ids=type)
async def test_a_lost_replicas_request_is_asked_again(serve: Serve, lost: Exception) -> None:
    """Of another one; the caller gets that answer."""
    replicas = Replicas(lost, lost, RESULT)
    assert await serve(replicas).embed(REQUEST) is RESULT
    assert not replicas.outcomes


async def test_a_request_that_ends_every_replica_is_given_up(serve: Serve) -> None:
    """It would end them all."""
    with pytest.raises(EngineDiedError, match="5 replicas were lost"):
        await serve(Replicas(*[ActorDiedError()] * 6)).embed(REQUEST)


async def test_a_refusal_is_the_error_that_it_was(serve: Serve) -> None:
    """And is not asked again."""
    refusal = Refusal.of(InvalidInputError("`dimensions` is odd", param="dimensions"))
    with pytest.raises(InvalidInputError, match="is odd") as caught:
        await serve(Replicas(refusal)).embed(REQUEST)
    assert caught.value.param == "dimensions"


async def test_too_many_waiting_requests_are_refused(serve: Serve) -> None:
    """As one machine refuses them."""
    with pytest.raises(OverloadedError):
        await serve(Replicas(BackPressureError(9, 8))).embed(REQUEST)


async def test_queued_work_waits_for_room(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """A replica that is full, or none that takes requests, ends no job."""
    monkeypatch.setattr(remote, "_BACKGROUND_PAUSE_S", 0.0)
    full = Refusal.of(OverloadedError("full", retry_after_s=1))
    replicas = Replicas(
        BackPressureError(9, 8), full, DeploymentUnavailableError("Replica"), RESULT
    )
    assert await serve(replicas, deadline_s=1e-9).embed(QUEUED) is RESULT


async def test_queued_work_leaves_room_for_those_who_wait(serve: Serve) -> None:
    """However much of it there is; who waits is asked for at once."""
    replicas = Replicas()
    service = serve(replicas)
    calls = [asyncio.create_task(service.embed(QUEUED)) for _ in range(2 * remote._MAX_BACKGROUND)]
    for _ in range(100):  # turns of the loop; a few will do
        await asyncio.sleep(0)
    assert len(replicas.embed.responses) == remote._MAX_BACKGROUND
    replicas.outcomes = [RESULT]
    assert await service.embed(REQUEST) is RESULT
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)


async def test_a_queued_request_may_be_refused(serve: Serve) -> None:
    """What is wrong with it stays wrong."""
    refusal = Refusal.of(InvalidInputError("`dimensions` is odd"))
    with pytest.raises(InvalidInputError):
        await serve(Replicas(refusal)).embed(QUEUED)


async def test_the_deadline_counts_the_wait(serve: Serve) -> None:
    """And what is late is cancelled in its replica."""
    replicas = Replicas()
    with pytest.raises(DeadlineExceededError):
        await serve(replicas, deadline_s=0.01).embed(REQUEST)
    assert replicas.embed.responses[0].is_cancelled


async def test_a_caller_that_leaves_cancels_its_request(serve: Serve) -> None:
    """It is not taken for a lost replica's."""
    replicas = Replicas()
    call = asyncio.create_task(serve(replicas).embed(REQUEST))
    await replicas.is_asked.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert [one.is_cancelled for one in replicas.embed.responses] == [True]


async def test_an_unknown_model_is_not_asked_for(serve: Serve) -> None:
    """The catalog is here."""
    replicas = Replicas(RESULT)
    with pytest.raises(ModelNotFoundError):
        await serve(replicas).embed(EmbedRequest(model="@cf/acme/none", texts=("x",)))
    assert replicas.outcomes == [RESULT]


async def test_is_ready_once_a_replica_has_said_so(serve: Serve) -> None:
    """Not before."""
    service = serve(Replicas())
    assert not (await service.readiness()).is_ready
    for _ in range(100):  # turns of the loop; a few will do
        await asyncio.sleep(0)
    assert (await service.readiness()).is_ready
    assert (await service.readiness()).models == (MODEL,)


async def test_texts_are_tokenised_by_a_replica(serve: Serve) -> None:
    """By another one, if the first is lost."""
    service = serve(Replicas(ActorDiedError()))
    (tokens,) = await service.tokenize(MODEL, ["one"])
    assert tokens.num_tokens == 3


async def test_stats_are_a_replica_s(serve: Serve) -> None:
    """As it told a moment ago; nothing before the first word."""
    service = serve(Replicas())
    assert (await service.stats()).uptime_s == 0
    for _ in range(100):  # turns of the loop; a few will do
        await asyncio.sleep(0)
    assert (await service.stats()).uptime_s == 7
