"""The worker's loops, over a real queue and an embedder that the test drives."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from support.jobs import LIMITS, MODEL, Keeper, result_of, take, vector_of

from satsuma.errors import (
    EngineError,
    InvalidInputError,
    ModelNotInstalledError,
    ShuttingDownError,
)
from satsuma.jobs.claims import Claims
from satsuma.jobs.records import Job, Outcome
from satsuma.jobs.states import JobStatus
from satsuma.jobs.worker import Worker, WorkerOptions
from satsuma.types import EmbedRequest, EmbedResult

WITHIN_S = 20.0
STEADY = WorkerOptions(target_tokens=200, lease_s=60.0)
FAST = WorkerOptions(target_tokens=200, lease_s=0.3)  # where leases have to end

Run = Callable[..., AbstractAsyncContextManager[Worker]]


class Embedder:
    """Answers as tests expect; fails on texts that say so."""

    def __init__(self) -> None:
        """Begin open."""
        self.is_open = asyncio.Event()
        self.is_open.set()
        self.asked: list[EmbedRequest] = []
        self.most_at_once = 0
        self.running: set[str] = set()
        self.errors: dict[str, list[Exception]] = {}
        self.is_stuck = False

    async def embed(self, request: EmbedRequest) -> EmbedResult:
        """Answer, once it is open."""
        texts = [text for text in request.texts if isinstance(text, str)]
        self.asked.append(request)
        self.running.add(texts[0])
        self.most_at_once = max(self.most_at_once, len(self.running))
        try:
            await self.is_open.wait()
            waiting = self.errors.get(texts[0], [])
            if waiting:
                raise waiting.pop(0)
            return result_of(texts)
        finally:
            self.running.discard(texts[0])


class HeldCommit:
    """A commit of answers that takes until the test lets it."""

    def __init__(self) -> None:
        """Hold."""
        self.has_begun, self.may_end = threading.Event(), threading.Event()

    def hold(self, claims: Claims) -> Claims:
        """Hold this server's."""
        finish = claims.finish

        def finish_late(outcomes: Sequence[Outcome]) -> list[Outcome]:
            self.has_begun.set()
            assert self.may_end.wait(WITHIN_S)
            return finish(outcomes)

        claims.finish = finish_late  # type: ignore[method-assign]
        return claims


@pytest.fixture
def embedder() -> Embedder:
    """One for each test."""
    return Embedder()


@pytest.fixture
def run(keeper: Keeper, embedder: Embedder) -> Run:
    """Run a worker for the length of a block."""

    @asynccontextmanager
    async def running(options: WorkerOptions = STEADY) -> AsyncIterator[Worker]:
        def make_claims() -> Claims:
            return Claims(keeper.database, lease_s=options.lease_s, results_s=LIMITS.results_s)

        worker = Worker(
            make_claims, keeper.upkeep.sweep, embedder.embed, lambda: embedder.is_stuck, options
        )
        worker.start()
        try:
            yield worker
        finally:
            await worker.stop()

    return running


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that the worker brings about."""
    async with asyncio.timeout(WITHIN_S):
        while not await asyncio.to_thread(condition):  # noqa: ASYNC110 - another process may do it
            await asyncio.sleep(0.01)


def is_done(
    keeper: Keeper, job: Job, meanwhile: Callable[[], None] = lambda: None
) -> Callable[[], bool]:
    """Whether every request of it is finished, with something to do before each look."""

    def look() -> bool:
        meanwhile()
        return keeper.look(job).status is JobStatus.DONE

    return look


async def test_what_is_kept_is_used_once(keeper: Keeper, embedder: Embedder) -> None:
    """The ledger hears of each answer: whose, of which model, texts and tokens."""
    noted: list[tuple[object, ...]] = []

    def make_claims() -> Claims:
        return Claims(keeper.database, lease_s=60.0, results_s=LIMITS.results_s)

    def note(*used: object) -> None:
        noted.append(used)

    job = keeper.put("one", "two", "bad")
    embedder.errors["bad"] = [InvalidInputError("no")]
    worker = Worker(make_claims, keeper.upkeep.sweep, embedder.embed, lambda: False, STEADY)
    worker.note_usage = note
    worker.start()
    await until(is_done(keeper, job))
    await worker.stop()
    assert noted == [(job.account, MODEL, 1, 4)] * 2


async def test_what_is_kept_while_it_stops_is_used(keeper: Keeper, embedder: Embedder) -> None:
    """A commit that is on its way then ends, and the ledger hears of it."""
    noted: list[tuple[object, ...]] = []
    commit = HeldCommit()

    def make_claims() -> Claims:
        claims = Claims(keeper.database, lease_s=60.0, results_s=LIMITS.results_s)
        return commit.hold(claims)

    def note(*used: object) -> None:
        noted.append(used)

    job = keeper.put("one")
    worker = Worker(make_claims, keeper.upkeep.sweep, embedder.embed, lambda: False, STEADY)
    worker.note_usage = note
    worker.start()
    await until(commit.has_begun.is_set)
    stopping = asyncio.create_task(worker.stop())
    await until(lambda: all(loop.done() for loop in worker._loops))
    commit.may_end.set()
    await stopping
    assert noted == [(job.account, MODEL, 1, 4)]


async def test_everything_is_answered(keeper: Keeper, embedder: Embedder, run: Run) -> None:
    """Of several jobs, with the right vectors, as background work."""
    jobs = [keeper.put(*(f"{n} {i}" for i in range(30))) for n in range(3)]
    async with run():
        for job in jobs:
            await until(is_done(keeper, job))
    for n, job in enumerate(jobs):
        expected = [[vector_of(f"{n} {i}")] for i in range(30)]
        np.testing.assert_allclose(np.array(keeper.vectors(job)), expected, atol=1e-6)
    assert all(one.is_background for one in embedder.asked)
    assert len(embedder.asked) == 90


async def test_no_more_is_claimed_than_fills_the_lanes(
    keeper: Keeper, embedder: Embedder, run: Run
) -> None:
    """The rest stays for other servers."""
    job = keeper.put(*(f"text {n}" for n in range(100)))
    embedder.is_open.clear()
    async with run():
        await until(lambda: len(embedder.running) == STEADY.target_tokens // 10)
        other = keeper.server()
        assert len(take(other, 50)) == 5
        other.leave()
        embedder.is_open.set()
        await until(is_done(keeper, job))
    assert embedder.most_at_once <= STEADY.target_tokens // 10


async def test_a_job_that_comes_in_is_begun_at_once(
    keeper: Keeper, embedder: Embedder, run: Run
) -> None:
    """The worker is told, and does not wait for its next look."""
    async with run() as worker:
        await until(worker._is_listed.is_set)
        job = await asyncio.to_thread(keeper.put, "a")
        worker.notice()
        await until(is_done(keeper, job))
    assert len(embedder.asked) == 1


async def test_another_try_may_succeed(keeper: Keeper, embedder: Embedder, run: Run) -> None:
    """An engine that fails once on a request costs it a pause."""
    embedder.errors["a"] = [EngineError("once")]
    job = keeper.put("a")
    async with run():
        await until(is_done(keeper, job))
    assert keeper.look(job).num_failed == 0
    assert len(embedder.asked) == 2


async def test_a_poisoned_request_fails_alone(keeper: Keeper, embedder: Embedder, run: Run) -> None:
    """After three tries; its neighbours are answered."""
    embedder.errors["bad"] = [EngineError("poison"), RuntimeError("private"), EngineError("poison")]
    job = keeper.put("a", "bad", "b")
    async with run():
        await until(lambda: keeper.look(job).num_finished == 2)
        await until(is_done(keeper, job, keeper.skip_pauses))
    ((position, reason),) = keeper.upkeep.failures(job.request_id, 9)
    assert (position, reason.code) == (1, "attempts_spent")
    assert reason.message == "the engine failed on it 3 times: poison"
    assert len(embedder.asked) == 2 + 3


async def test_a_refused_request_fails_at_once(
    keeper: Keeper, embedder: Embedder, run: Run
) -> None:
    """Its error is no fault of the engine."""
    embedder.errors["bad"] = [InvalidInputError("no")]
    job = keeper.put("bad")
    async with run():
        await until(is_done(keeper, job))
    ((_, reason),) = keeper.upkeep.failures(job.request_id, 9)
    assert (reason.code, reason.message) == ("invalid_input", "no")


async def test_a_model_that_is_not_here_is_left_to_others(
    keeper: Keeper, embedder: Embedder, run: Run
) -> None:
    """Its requests wait as before, and other models' go on."""
    embedder.errors["a"] = [ModelNotInstalledError("not here")] * 9
    away, here = keeper.put("a"), keeper.put("b", model="@cf/baai/bge-small-en-v1.5")
    async with run():
        await until(is_done(keeper, here))
        await until(lambda: keeper.server().is_needed())
        assert keeper.look(away).num_finished == 0
        (claimed,) = take(keeper.server())
    assert claimed.model == MODEL
    assert not claimed.attempts.is_suspect
    assert len(embedder.asked) <= 3  # it may have been claimed again before it was set aside


async def test_what_a_dead_server_held_is_done(
    keeper: Keeper, embedder: Embedder, run: Run
) -> None:
    """Once its lease is over, each request alone."""
    job = keeper.put("a", "b", "c")
    assert len(take(keeper.server())) == 3
    keeper.let_die()
    async with run(FAST):
        await until(is_done(keeper, job))
    assert embedder.most_at_once == 1


async def test_stopping_keeps_what_is_done_and_gives_back_the_rest(
    keeper: Keeper, embedder: Embedder, run: Run
) -> None:
    """Nothing waits for a lease."""
    job = keeper.put("a", "b")
    embedder.is_open.clear()
    async with run():
        await until(lambda: embedder.running == {"a", "b"})
    (first, second) = take(keeper.server())
    assert not first.attempts.is_suspect
    assert not second.attempts.is_suspect
    assert keeper.look(job).num_finished == 0


async def test_a_stopping_service_loses_nothing(
    keeper: Keeper, embedder: Embedder, run: Run
) -> None:
    """What it refuses is given back."""
    embedder.errors["a"] = [ShuttingDownError("stopping")]
    job = keeper.put("a")
    async with run():
        await until(is_done(keeper, job))
    assert keeper.look(job).num_failed == 0


async def test_a_stuck_engines_work_goes_to_others(
    keeper: Keeper, embedder: Embedder, run: Run
) -> None:
    """A server whose engine hangs stops beating; when it is over, it goes on under a new name."""
    job = keeper.put("a")
    embedder.is_open.clear()
    async with run(FAST):
        await until(lambda: embedder.running == {"a"})
        embedder.is_stuck = True
        heir = keeper.server()
        await until(lambda: heir.recover() == 1)
        (claimed,) = take(heir)
        assert claimed.is_alone
        heir.leave()
        embedder.is_stuck = False
        embedder.is_open.set()
        await until(is_done(keeper, job))
    assert keeper.look(job).num_failed == 0


async def test_an_outage_is_waited_out(
    lite: Keeper, embedder: Embedder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A database that is locked for long fails nothing: the worker goes on, and says so once."""
    job = lite.put(*(f"text {n}" for n in range(50)))

    def make_claims() -> Claims:
        return Claims(lite.database, lease_s=0.3, results_s=60.0)

    embedder.is_open.clear()
    worker = Worker(make_claims, lite.upkeep.sweep, embedder.embed, lambda: False, FAST)
    with caplog.at_level(logging.WARNING, "satsuma.jobs"):
        worker.start()
        await until(lambda: len(embedder.running) > 0)
        lite.database._engine.dispose()
        blocker = sqlite3.connect(tmp_path / "queue.db", check_same_thread=False)
        blocker.execute("BEGIN EXCLUSIVE")
        embedder.is_open.set()
        await until(lambda: "does not answer" in caplog.text)
        blocker.rollback()
        blocker.close()
        await until(is_done(lite, job))
        await worker.stop()
    assert lite.look(job).num_failed == 0
