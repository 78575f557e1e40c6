"""Queries that their callers run themselves, where nothing else is to do."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import numpy as np
import pytest

from satsuma.engine.fake import FakeEncoder
from satsuma.engine.protocol import Microbatch, Width
from satsuma.scheduler.admission import Limits
from satsuma.scheduler.pace import Pace
from satsuma.scheduler.policy import EXPRESS_TOKENS
from satsuma.scheduler.scheduler import Scheduler
from satsuma.types import FloatArray, IntArray, Pooling

HELD, POISON, INTERRUPTED = 99, 666, 777
DEADLINE_S, WAIT_S = 0.4, 10.0


class WatchedEncoder(FakeEncoder):
    """A fake encoder that tells which thread ran what; some tokens wait, fail or interrupt."""

    def __init__(self) -> None:
        """Start with nothing seen."""
        super().__init__(poison_id=POISON)
        self.threads: list[threading.Thread] = []
        self.gate = threading.Event()
        self.on_run: Callable[[], object] = lambda: None

    def encode(self, microbatch: Microbatch, width: Width) -> FloatArray:
        """Note who asks; then run."""
        self.threads.append(threading.current_thread())
        self.on_run()
        if HELD in microbatch.token_ids:
            assert self.gate.wait(WAIT_S)
        if INTERRUPTED in microbatch.token_ids:
            raise KeyboardInterrupt
        return super().encode(microbatch, width)


@pytest.fixture
def encoder() -> Iterator[WatchedEncoder]:
    """One that holds nothing longer than the test."""
    made = WatchedEncoder()
    yield made
    made.gate.set()


@pytest.fixture
def scheduler(encoder: WatchedEncoder) -> Iterator[Scheduler]:
    """Of two lanes, with a short deadline."""
    made = Scheduler(num_lanes=2, pace=Pace(512), limits=Limits(DEADLINE_S, 0))
    yield made
    encoder.gate.set()
    made.close()


def text(num_tokens: int = 3, token: int = 5) -> IntArray:
    """An item of like tokens."""
    return np.full(num_tokens, token, dtype=np.int64)


def hold(scheduler: Scheduler, encoder: WatchedEncoder) -> threading.Thread:
    """Let another caller's query hold the engine."""
    caller = threading.Thread(
        target=scheduler.run_now, args=(encoder, [text(1, HELD)], Pooling.CLS)
    )
    caller.start()
    while not encoder.threads:
        caller.join(0.001)
    return caller


def test_the_caller_runs_its_query(scheduler: Scheduler, encoder: WatchedEncoder) -> None:
    """In its own thread, on all cores, with the vectors of a lane."""
    for token in (5, 6):
        outcome = scheduler.run_now(encoder, [text(3, token)], Pooling.MEAN)
        assert outcome is not None
        assert encoder.threads.pop() is threading.current_thread()
        assert encoder.runs.pop() == ([3], Width.ALL_CORES)
        usual = scheduler.submit(encoder, [text(3, token)], Pooling.MEAN).result(WAIT_S)
        np.testing.assert_array_equal(outcome.vectors, usual.vectors)
    assert scheduler.room().waiting_tokens == 0


def test_vectors_as_they_were_pooled(scheduler: Scheduler, encoder: WatchedEncoder) -> None:
    """Where unit length is not wanted."""
    outcome = scheduler.run_now(encoder, [text()], Pooling.MEAN, is_normalized=False)
    usual = scheduler.submit(encoder, [text()], Pooling.MEAN, is_normalized=False)
    assert outcome is not None
    np.testing.assert_array_equal(outcome.vectors, usual.result(WAIT_S).vectors)


def test_longer_texts_are_not_run(scheduler: Scheduler, encoder: WatchedEncoder) -> None:
    """Together they may be no longer than a query."""
    assert scheduler.run_now(encoder, [text(EXPRESS_TOKENS)], Pooling.MEAN) is not None
    halves = [text(EXPRESS_TOKENS // 2), text(EXPRESS_TOKENS // 2 + 1)]
    assert scheduler.run_now(encoder, halves, Pooling.MEAN) is None
    assert len(encoder.threads) == 1


def test_several_texts_get_their_own_vectors(scheduler: Scheduler, encoder: WatchedEncoder) -> None:
    """In one run, in their order."""
    texts = [text(20, token) for token in (5, 6, 7)]
    outcome = scheduler.run_now(encoder, texts, Pooling.MEAN)
    assert outcome is not None
    assert encoder.runs == [([20, 20, 20], Width.ALL_CORES)]
    usual = [scheduler.submit(encoder, [one], Pooling.MEAN).result(WAIT_S) for one in texts]
    np.testing.assert_array_equal(outcome.vectors, np.concatenate([one.vectors for one in usual]))


def test_who_would_wait_is_sent_away(scheduler: Scheduler, encoder: WatchedEncoder) -> None:
    """While another's query runs, which all see; once it is done, the next may run at once."""
    caller = hold(scheduler, encoder)
    assert scheduler.run_now(encoder, [text()], Pooling.MEAN) is None
    assert scheduler.room().waiting_tokens == 1
    late = scheduler.submit(encoder, [text(EXPRESS_TOKENS + 1)], Pooling.MEAN)
    assert not late.done()
    encoder.gate.set()
    caller.join()
    late.result(WAIT_S)
    while scheduler.room().waiting_tokens:
        caller.join(0.001)
    assert scheduler.run_now(encoder, [text()], Pooling.MEAN) is not None


def test_what_fails_takes_the_usual_way(scheduler: Scheduler, encoder: WatchedEncoder) -> None:
    """Which tells whose failure it is; the engine is free for the next one."""
    texts = [text(1), text(1, POISON)]
    assert scheduler.run_now(encoder, texts, Pooling.MEAN) is None
    assert scheduler.is_idle
    assert scheduler.run_now(encoder, [text()], Pooling.MEAN) is not None


def test_ctrl_c_frees_the_engine(scheduler: Scheduler, encoder: WatchedEncoder) -> None:
    """And nobody runs the query again."""
    with pytest.raises(KeyboardInterrupt):
        scheduler.run_now(encoder, [text(3, INTERRUPTED)], Pooling.MEAN)
    assert scheduler.is_idle
    assert scheduler.run_now(encoder, [text()], Pooling.MEAN) is not None
    scheduler.submit(encoder, [text()], Pooling.MEAN).result(WAIT_S)
    assert len(encoder.threads) == 3


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="signals at a moment are POSIX's")
def test_ctrl_c_at_any_moment(scheduler: Scheduler, encoder: WatchedEncoder) -> None:
    """Leaves nothing in the books: the next query runs at once."""
    signals: list[int] = []

    def interrupt(number: int, _frame: object) -> None:
        signals.append(number)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    moments = np.random.default_rng(0).uniform(1e-6, 300e-6, 1000).tolist()
    try:
        for moment in moments:
            _run_interrupted(scheduler, encoder, moment)
            assert scheduler.is_idle
    finally:
        signal.signal(signal.SIGALRM, before)
    assert len(signals) > len(moments) // 4


def _run_interrupted(scheduler: Scheduler, encoder: WatchedEncoder, after_s: float) -> None:
    with suppress(KeyboardInterrupt):
        signal.setitimer(signal.ITIMER_REAL, after_s)
        scheduler.run_now(encoder, [text()], Pooling.MEAN)
        signal.setitimer(signal.ITIMER_REAL, 0)


def test_close_waits_for_callers(scheduler: Scheduler, encoder: WatchedEncoder) -> None:
    """As it does for lanes, within the limit."""
    caller = hold(scheduler, encoder)
    assert not scheduler.close(timeout_s=0.05)
    encoder.gate.set()
    assert scheduler.close(timeout_s=WAIT_S)
    caller.join()


def test_nothing_runs_once_closed(scheduler: Scheduler, encoder: WatchedEncoder) -> None:
    """Whoever submits it then is told."""
    scheduler.close()
    assert scheduler.run_now(encoder, [text()], Pooling.MEAN) is None
    assert encoder.threads == []


def test_who_was_interrupted_does_not_wait_for_itself(
    scheduler: Scheduler, encoder: WatchedEncoder
) -> None:
    """A signal handler is told where it is, and may close."""
    told: list[bool] = []
    encoder.on_run = lambda: told.extend(
        (scheduler.is_interrupted_here, scheduler.close(timeout_s=WAIT_S))
    )
    assert not scheduler.is_interrupted_here
    assert scheduler.run_now(encoder, [text()], Pooling.MEAN) is not None
    assert told == [True, True]
    assert not scheduler.is_interrupted_here


def test_a_queue_that_is_forgotten_stays_so(scheduler: Scheduler, encoder: WatchedEncoder) -> None:
    """Though a caller runs a last query on an encoder that is being closed."""
    scheduler.forget(encoder)
    assert scheduler.run_now(encoder, [text()], Pooling.MEAN) is not None
    assert scheduler._board._interactive.queues == []
