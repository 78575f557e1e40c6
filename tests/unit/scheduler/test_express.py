"""The express lane: queries beside bulk work that holds every core."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future

import numpy as np
import pytest

from satsuma.engine.load import FakeEncoder
from satsuma.engine.protocol import Microbatch, Width
from satsuma.errors import EngineDiedError
from satsuma.scheduler.admission import Limits
from satsuma.scheduler.pace import Pace
from satsuma.scheduler.policy import EXPRESS_TOKENS
from satsuma.scheduler.scheduler import Scheduler
from satsuma.scheduler.tickets import Outcome
from satsuma.types import FloatArray, IntArray, Pooling

DEADLY = 999
BUDGET = 128
LONG = 100  # tokens of a text that is no query
WAIT_S = 10.0


class HeldEncoder(FakeEncoder):
    """A fake encoder that holds microbatches with a long item until it may go on."""

    def __init__(self, deadly_id: int = DEADLY) -> None:
        """Hold from the start."""
        super().__init__(deadly_id=deadly_id)
        self.gate = threading.Event()
        self.num_held = 0

    def encode(self, microbatch: Microbatch, width: Width) -> FloatArray:
        """Wait, if it is long; then run."""
        if microbatch.lengths.max() >= LONG:
            self.num_held += 1
            assert self.gate.wait(WAIT_S)
        return super().encode(microbatch, width)


@pytest.fixture
def encoder() -> Iterator[HeldEncoder]:
    """Let everything go at the end."""
    held = HeldEncoder()
    yield held
    held.gate.set()


@pytest.fixture(params=[1, 2])
def scheduler(request: pytest.FixtureRequest, encoder: HeldEncoder) -> Iterator[Scheduler]:
    """Of one core, and of two."""
    limits = Limits(60.0, 0)
    made = Scheduler(num_lanes=request.param, pace=Pace(BUDGET), limits=limits)
    yield made
    encoder.gate.set()
    made.close()


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that other threads bring about."""
    end_s = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.001)


def text(num_tokens: int, token: int = 1) -> IntArray:
    """One item."""
    return np.full(num_tokens, token, dtype=np.int64)


def fill(scheduler: Scheduler, encoder: HeldEncoder, num_texts: int = 8) -> Future[Outcome]:
    """Hold every core with one request's long texts."""
    bulk = scheduler.submit(encoder, [text(LONG)] * num_texts, Pooling.MEAN)
    until(lambda: encoder.num_held >= scheduler._board._num_lanes)
    return bulk


def test_a_query_goes_beside_bulk_work(scheduler: Scheduler, encoder: HeldEncoder) -> None:
    """It is answered while every core is held, in a microbatch of its own."""
    bulk = fill(scheduler, encoder)
    scheduler.submit(encoder, [text(10)], Pooling.MEAN).result(WAIT_S)
    assert not bulk.done()
    assert encoder.runs == [([10], Width.ONE_CORE)]


def test_queries_ride_together_up_to_a_limit(scheduler: Scheduler, encoder: HeldEncoder) -> None:
    """All are answered, and no microbatch of theirs is so large that it would hold the cores up."""
    fill(scheduler, encoder)
    queries = [scheduler.submit(encoder, [text(20)] * 3, Pooling.MEAN) for _ in range(12)]
    for query in queries:
        query.result(WAIT_S)
    assert sum(len(lengths) for lengths, _ in encoder.runs) == 36
    assert all(sum(lengths) <= EXPRESS_TOKENS for lengths, _ in encoder.runs)


def test_a_query_is_found_behind_any_number_of_bulk_texts(
    scheduler: Scheduler, encoder: HeldEncoder
) -> None:
    """Also where more of them rank before it than a microbatch is chosen from."""
    fill(scheduler, encoder)
    for _ in range(3):
        scheduler.submit(encoder, [text(1)] * 1000, Pooling.MEAN)
    scheduler.submit(encoder, [text(60)], Pooling.MEAN).result(WAIT_S)
    assert [lengths for lengths, _ in encoder.runs] == [[60]]
    encoder.gate.set()


def test_longer_requests_wait_for_a_core(scheduler: Scheduler, encoder: HeldEncoder) -> None:
    """Also one of many short texts."""
    fill(scheduler, encoder)
    longer = scheduler.submit(encoder, [text(2)] * EXPRESS_TOKENS, Pooling.MEAN)
    scheduler.submit(encoder, [text(10)], Pooling.MEAN).result(WAIT_S)
    assert not longer.done()
    assert [lengths for lengths, _ in encoder.runs] == [[10]]
    encoder.gate.set()
    longer.result(WAIT_S)


def test_bulk_work_goes_on_under_a_flood_of_queries(
    scheduler: Scheduler, encoder: HeldEncoder
) -> None:
    """The cores' own lanes give the oldest request its turns."""
    encoder.gate.set()
    bulk = scheduler.submit(encoder, [text(LONG)] * 30, Pooling.MEAN)
    is_over = threading.Event()

    def ask_on() -> None:
        while not is_over.is_set():
            scheduler.submit(encoder, [text(5)] * 12, Pooling.MEAN).result(WAIT_S)

    clients = [threading.Thread(target=ask_on) for _ in range(4)]
    for client in clients:
        client.start()
    try:
        bulk.result(WAIT_S)
    finally:
        is_over.set()
        for client in clients:
            client.join()


def test_a_query_is_not_filled_up_with_bulk_work(encoder: HeldEncoder) -> None:
    """Else it would be answered when that is."""
    scheduler = Scheduler(num_lanes=1, pace=Pace(BUDGET), limits=Limits(60.0, 0))
    blocker = scheduler.submit(encoder, [text(LONG)], Pooling.MEAN)
    until(lambda: encoder.num_held == 1)
    bulk = scheduler.submit(encoder, [text(8)] * 40, Pooling.MEAN)
    encoder.gate.set()
    query = scheduler.submit(encoder, [text(7)], Pooling.MEAN)
    for future in (blocker, bulk, query):
        future.result(WAIT_S)
    scheduler.close()
    assert all(len(set(lengths)) == 1 for lengths, _ in encoder.runs)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_dead_express_lane_is_started_anew(scheduler: Scheduler, encoder: HeldEncoder) -> None:
    """Readiness says so, the culprit gets an error, and the next query is answered."""
    fill(scheduler, encoder)
    bad = scheduler.submit(encoder, [text(3, DEADLY)], Pooling.MEAN)
    until(lambda: "died" in scheduler.trouble(60.0))
    with pytest.raises(EngineDiedError):
        bad.result(WAIT_S)
    until(lambda: scheduler.trouble(60.0) == "")
    scheduler.submit(encoder, [text(10)], Pooling.MEAN).result(WAIT_S)


def test_a_query_that_is_cancelled_is_not_run(scheduler: Scheduler, encoder: HeldEncoder) -> None:
    """Nobody waits for it; the express lane goes on with the next."""
    fill(scheduler, encoder)
    with scheduler._lock:
        gone = scheduler.submit(encoder, [text(9)], Pooling.MEAN)
        assert gone.cancel()
    scheduler.submit(encoder, [text(10)], Pooling.MEAN).result(WAIT_S)
    assert [lengths for lengths, _ in encoder.runs] == [[10]]


def test_answered_queries_are_not_kept(scheduler: Scheduler, encoder: HeldEncoder) -> None:
    """Also where no express lane was ever needed."""
    for _ in range(20):
        scheduler.submit(encoder, [text(5)], Pooling.MEAN).result(WAIT_S)
    queue = scheduler._board.queue(encoder)
    assert (queue._items, queue._express, queue._waiting) == ([], [], {})


def test_slow_small_runs_do_not_lower_the_rate(encoder: HeldEncoder) -> None:
    """After some lone queries as much bulk work is let in as before."""
    scheduler = Scheduler(num_lanes=1, pace=Pace(BUDGET), limits=Limits(1.0, 0))
    scheduler.note_rate(encoder, 1000, 1.0)
    slow = FakeEncoder(delay_s=0.02)
    scheduler.note_rate(slow, 1000, 1.0)
    for _ in range(3):
        scheduler.submit(slow, [text(2)], Pooling.MEAN).result(WAIT_S)
    scheduler.submit(slow, [text(LONG)] * 9, Pooling.MEAN).result(WAIT_S)
    scheduler.close()
