"""Microbatches that hang: others go on beside them, and their threads go when they can."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future

import numpy as np
import pytest

from satsuma.engine.fake import FakeEncoder
from satsuma.engine.protocol import Microbatch, Width
from satsuma.scheduler.admission import Limits
from satsuma.scheduler.pace import Pace
from satsuma.scheduler.policy import EXPRESS_TOKENS, HANGS_SHARE, HANGS_TIMES, hangs
from satsuma.scheduler.scheduler import Scheduler
from satsuma.scheduler.tickets import Outcome
from satsuma.types import FloatArray, IntArray, Pooling

HANGING, DEADLY = 99, 666
DEADLINE_S, WAIT_S = 0.4, 10.0
NUM_LANES = 2


class HangingEncoder(FakeEncoder):
    """A fake encoder that hangs on a token until it is let go; then, with another, it dies."""

    def __init__(self) -> None:
        """Start without leave."""
        super().__init__(deadly_id=DEADLY)
        self.gate = threading.Event()
        self.num_hanging = 0
        self.threads: set[threading.Thread] = set()

    def encode(self, microbatch: Microbatch, width: Width) -> FloatArray:
        """Run, or hang first."""
        if HANGING in microbatch.token_ids and not self.gate.is_set():
            self.num_hanging += 1
            self.threads.add(threading.current_thread())
            self.gate.wait()
        return super().encode(microbatch, width)


@pytest.fixture
def encoder() -> Iterator[HangingEncoder]:
    """One that hangs no longer than the test."""
    made = HangingEncoder()
    yield made
    made.gate.set()


@pytest.fixture
def scheduler(encoder: HangingEncoder) -> Iterator[Scheduler]:
    """Of two lanes, with a short deadline."""
    made = Scheduler(num_lanes=NUM_LANES, pace=Pace(512), limits=Limits(DEADLINE_S, 0))
    yield made
    encoder.gate.set()
    made.close()


def text(num_tokens: int, token: int = 5) -> IntArray:
    """An item of like tokens."""
    return np.full(num_tokens, token, dtype=np.int64)


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that other threads bring about."""
    ends_at_s = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < ends_at_s
        time.sleep(0.005)


def hang(scheduler: Scheduler, encoder: HangingEncoder, num_tokens: int) -> Future[Outcome]:
    """Let a text of so many tokens hang."""
    num_before = encoder.num_hanging
    future = scheduler.submit(encoder, [text(num_tokens, HANGING)], Pooling.MEAN)
    until(lambda: encoder.num_hanging > num_before)
    return future


@pytest.mark.parametrize("num_tokens", [1, EXPRESS_TOKENS + 1, 400])
def test_others_go_on(scheduler: Scheduler, encoder: HangingEncoder, num_tokens: int) -> None:
    """Beside a text that had every lane, for long texts as for queries."""
    hung = hang(scheduler, encoder, num_tokens)
    for other in (1, EXPRESS_TOKENS + 1, 400):
        scheduler.submit(encoder, [text(other)], Pooling.MEAN).result(WAIT_S)
    until(lambda: scheduler.oldest_run_s() > DEADLINE_S)
    assert scheduler.trouble(DEADLINE_S) == ""
    assert not hung.done()


def test_others_go_on_though_every_thread_hangs(
    scheduler: Scheduler, encoder: HangingEncoder
) -> None:
    """The express lane's too; once they are let go, all are answered and the threads end."""
    hung = [
        hang(scheduler, encoder, num_tokens) for num_tokens in (400, 400, EXPRESS_TOKENS, 400, 1)
    ]
    scheduler.submit(encoder, [text(400)], Pooling.MEAN).result(WAIT_S)
    encoder.gate.set()
    for future in hung:
        future.result(WAIT_S)
    scheduler.submit(encoder, [text(400)], Pooling.MEAN).result(WAIT_S)
    assert scheduler.close(WAIT_S)
    until(lambda: not any(thread.is_alive() for thread in encoder.threads))


def test_where_everything_hangs_threads_are_not_made_for_ever(
    scheduler: Scheduler, encoder: HangingEncoder
) -> None:
    """Then the scheduler says so."""
    for _ in range(40):
        scheduler.submit(encoder, [text(400, HANGING)], Pooling.MEAN)
    until(lambda: "has been running" in scheduler.trouble(2 * DEADLINE_S))
    assert NUM_LANES < encoder.num_hanging < 40
    encoder.gate.set()
    until(lambda: scheduler.room().waiting_tokens == 0)
    assert scheduler.trouble(2 * DEADLINE_S) == ""


def test_a_thread_that_hung_and_then_dies_is_survived(
    scheduler: Scheduler, encoder: HangingEncoder
) -> None:
    """What it held runs again, and every thread ends in time."""
    item = np.array([HANGING, *[5] * 100, DEADLY], dtype=np.int64)
    future = scheduler.submit(encoder, [item], Pooling.MEAN)
    until(lambda: encoder.num_hanging == 1)
    scheduler.submit(encoder, [text(400)], Pooling.MEAN).result(WAIT_S)
    encoder.gate.set()
    assert "died" in str(future.exception(WAIT_S))
    until(lambda: scheduler.trouble(WAIT_S) == "")
    scheduler.submit(encoder, [text(400)], Pooling.MEAN).result(WAIT_S)
    assert scheduler.close(WAIT_S)


def test_what_hangs() -> None:
    """A part of the deadline, and some times what it should have taken."""
    assert not hangs(HANGS_SHARE * 60, 0.0, 60)
    assert hangs(HANGS_SHARE * 60 + 1, 0.0, 60)
    assert not hangs(HANGS_SHARE * 60 + 1, 10.0, 60)
    assert hangs(HANGS_TIMES * 10.0 + 1, 10.0, 60)
