"""Background work: it fills idle lanes, and stays out of everybody's way."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from satsuma.engine.load import FakeEncoder
from satsuma.engine.protocol import Microbatch, Width
from satsuma.errors import EngineError, OverloadedError, ShuttingDownError
from satsuma.scheduler.admission import Limits
from satsuma.scheduler.pace import MAX_BACKGROUND_TOKENS, Pace
from satsuma.scheduler.scheduler import Scheduler
from satsuma.types import FloatArray, IntArray, Pooling

POISON = 666
WAIT_S = 10.0
BUDGET = 512


class SteppedEncoder(FakeEncoder):
    """A fake encoder that runs one microbatch for each step that it is given."""

    def __init__(self) -> None:
        """Start with no step."""
        super().__init__(poison_id=POISON)
        self.steps = threading.Semaphore(0)
        self.first_ids: list[int] = []  # of each microbatch that began

    def encode(self, microbatch: Microbatch, width: Width) -> FloatArray:
        """Note who came, and wait for the step."""
        self.first_ids.append(int(microbatch.token_ids[0]))
        assert self.steps.acquire(timeout=WAIT_S)
        return super().encode(microbatch, width)


MakeScheduler = Callable[..., Scheduler]


@pytest.fixture
def encoder() -> SteppedEncoder:
    """One for each test."""
    return SteppedEncoder()


@pytest.fixture
def make_scheduler(encoder: SteppedEncoder) -> Iterator[MakeScheduler]:
    """Make schedulers that are closed at the end."""
    made: list[Scheduler] = []

    def make(
        num_lanes: int = 1, deadline_s: float = 60.0, max_waiting_tokens: int = 0
    ) -> Scheduler:
        limits = Limits(deadline_s, max_waiting_tokens)
        made.append(Scheduler(num_lanes=num_lanes, pace=Pace(BUDGET), limits=limits))
        return made[-1]

    yield make
    encoder.steps.release(10_000)
    for scheduler in made:
        scheduler.close()


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that other threads bring about."""
    end_s = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.001)


def text(num_tokens: int, token: int = 1) -> IntArray:
    """One item."""
    return np.full(num_tokens, token, dtype=np.int64)


def test_it_runs_when_nothing_else_waits(
    make_scheduler: MakeScheduler, encoder: SteppedEncoder
) -> None:
    """On an idle engine at once, and with the right vectors."""
    scheduler = make_scheduler()
    future = scheduler.submit(encoder, [text(3), text(5)], Pooling.CLS, is_background=True)
    encoder.steps.release(9)
    assert future.result(WAIT_S).vectors.shape == (2, 4)


def test_whoever_comes_goes_first(make_scheduler: MakeScheduler, encoder: SteppedEncoder) -> None:
    """After the microbatch that runs, whatever waited before."""
    scheduler = make_scheduler()
    background = scheduler.submit(encoder, [text(200, 1)] * 6, Pooling.MEAN, is_background=True)
    until(lambda: len(encoder.first_ids) == 1)
    interactive = scheduler.submit(encoder, [text(300, 2)] * 2, Pooling.MEAN)
    encoder.steps.release(3)
    interactive.result(WAIT_S)
    assert encoder.first_ids[:3] == [1, 2, 2]
    assert not background.done()


def test_it_rides_with_nobody(make_scheduler: MakeScheduler, encoder: SteppedEncoder) -> None:
    """A microbatch is of one class, though others of like length wait."""
    scheduler = make_scheduler()
    blocker = scheduler.submit(encoder, [text(100, 9)], Pooling.MEAN)
    until(lambda: len(encoder.first_ids) == 1)
    futures = [
        scheduler.submit(encoder, [text(30, token)] * 3, Pooling.MEAN, is_background=token == 1)
        for token in (1, 2, 1, 2)
    ]
    encoder.steps.release(99)
    for future in (blocker, *futures):
        future.result(WAIT_S)
    assert encoder.first_ids == [9, 2, 1]
    assert [len(lengths) for lengths, _ in encoder.runs] == [1, 6, 6]


def test_its_microbatches_are_small(make_scheduler: MakeScheduler, encoder: SteppedEncoder) -> None:
    """And of one lane, so that a newcomer finds the other cores free and this one soon."""
    scheduler = make_scheduler(num_lanes=2)
    encoder.steps.release(999)
    scheduler.submit(encoder, [text(40)] * 60, Pooling.MEAN, is_background=True).result(WAIT_S)
    assert all(sum(lengths) <= MAX_BACKGROUND_TOKENS for lengths, _ in encoder.runs)
    assert {width for _, width in encoder.runs} == {Width.ONE_LANE}


def test_a_query_goes_beside_it(make_scheduler: MakeScheduler, encoder: SteppedEncoder) -> None:
    """The express lane takes it while background work holds every core, however short its texts."""
    scheduler = make_scheduler(num_lanes=2)
    background = scheduler.submit(encoder, [text(5, 1)] * 200, Pooling.MEAN, is_background=True)
    until(lambda: len(encoder.first_ids) == 2)
    query = scheduler.submit(encoder, [text(10, 2)], Pooling.MEAN)
    until(lambda: 2 in encoder.first_ids)
    assert not background.done()
    encoder.steps.release(999)
    query.result(WAIT_S)


def test_a_short_background_text_is_no_query(
    make_scheduler: MakeScheduler, encoder: SteppedEncoder
) -> None:
    """The express lane leaves it alone."""
    scheduler = make_scheduler()
    scheduler.submit(encoder, [text(200, 3)], Pooling.MEAN)
    until(lambda: len(encoder.first_ids) == 1)
    short = scheduler.submit(encoder, [text(4, 1)], Pooling.MEAN, is_background=True)
    query = scheduler.submit(encoder, [text(4, 2)], Pooling.MEAN)
    encoder.steps.release(1)
    until(lambda: 2 in encoder.first_ids)
    assert not short.done()
    encoder.steps.release(99)
    query.result(WAIT_S)
    short.result(WAIT_S)


def test_admission_does_not_see_it(make_scheduler: MakeScheduler, encoder: SteppedEncoder) -> None:
    """However much of it waits and runs: a request is let in as on an idle server."""
    scheduler = make_scheduler(deadline_s=1.0, max_waiting_tokens=1000)
    scheduler.note_rate(encoder, 1000, 1.0)
    for _ in range(20):
        scheduler.submit(encoder, [text(200)] * 20, Pooling.MEAN, is_background=True)
    until(lambda: len(encoder.first_ids) == 1)
    assert scheduler.room().waiting_tokens == 0
    scheduler.submit(encoder, [text(300, 2)] * 4, Pooling.MEAN)  # above a deadline, by itself
    with pytest.raises(OverloadedError):
        scheduler.submit(encoder, [text(300, 2)] * 4, Pooling.MEAN)


def test_it_shares_the_measured_rate(
    make_scheduler: MakeScheduler, encoder: SteppedEncoder
) -> None:
    """A server that has only done queued work knows how fast it is."""
    scheduler = make_scheduler()
    encoder.steps.release(99)
    scheduler.submit(encoder, [text(200)] * 4, Pooling.MEAN, is_background=True).result(WAIT_S)
    until(lambda: scheduler._board.queue(encoder).rate_tokens_per_s > 0)


def test_long_texts_are_not_passed_by_for_ever(
    make_scheduler: MakeScheduler, encoder: SteppedEncoder
) -> None:
    """While others keep coming, the first request's long text has its turn."""
    scheduler = make_scheduler()
    scheduler.submit(encoder, [text(1, 5)], Pooling.MEAN, is_background=True)
    until(lambda: len(encoder.first_ids) == 1)
    old = scheduler.submit(encoder, [text(250, 7)], Pooling.MEAN, is_background=True)
    for _ in range(40):
        scheduler.submit(encoder, [text(20, 1)] * 12, Pooling.MEAN, is_background=True)
    encoder.steps.release(6)
    old.result(WAIT_S)
    assert 7 in encoder.first_ids[:6]


def test_its_failures_are_its_own(make_scheduler: MakeScheduler, encoder: SteppedEncoder) -> None:
    """A poisoned text fails its request, and the others of its microbatch are answered."""
    scheduler = make_scheduler()
    encoder.steps.release(99)
    blocker = scheduler.submit(encoder, [text(100)], Pooling.MEAN)
    bad = scheduler.submit(encoder, [text(5, POISON)], Pooling.MEAN, is_background=True)
    good = scheduler.submit(encoder, [text(5)], Pooling.MEAN, is_background=True)
    with pytest.raises(EngineError):
        bad.result(WAIT_S)
    good.result(WAIT_S)
    blocker.result(WAIT_S)


def test_closing_refuses_what_waits(make_scheduler: MakeScheduler, encoder: SteppedEncoder) -> None:
    """The queue's worker gives it back."""
    scheduler = make_scheduler()
    futures = [
        scheduler.submit(encoder, [text(256)], Pooling.MEAN, is_background=True) for _ in range(3)
    ]
    until(lambda: len(encoder.first_ids) == 1)
    encoder.steps.release(99)
    scheduler.close()
    refused = [one.exception(WAIT_S) for one in futures if one.exception(WAIT_S)]
    assert refused
    assert all(isinstance(error, ShuttingDownError) for error in refused)


def test_a_forgotten_encoder_leaves_nothing(
    make_scheduler: MakeScheduler, encoder: SteppedEncoder
) -> None:
    """Neither of its queues stays when a model is unloaded."""
    scheduler = make_scheduler()
    encoder.steps.release(99)
    scheduler.submit(encoder, [text(5)], Pooling.MEAN, is_background=True).result(WAIT_S)
    scheduler.forget(encoder)
    board = scheduler._board
    assert board._background.queues == board._interactive.queues == []
