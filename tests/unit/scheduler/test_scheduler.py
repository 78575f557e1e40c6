"""The lanes, driven with an encoder whose output is predictable."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future

import numpy as np
import pytest

from satsuma.engine.load import FakeEncoder
from satsuma.engine.protocol import Microbatch, Width
from satsuma.errors import EngineDiedError, EngineError, OverloadedError, ShuttingDownError
from satsuma.scheduler.admission import Limits
from satsuma.scheduler.pace import Pace
from satsuma.scheduler.policy import OLDEST_EVERY
from satsuma.scheduler.rate import Rate
from satsuma.scheduler.scheduler import Scheduler
from satsuma.scheduler.tickets import Outcome
from satsuma.types import FloatArray, IntArray, Pooling

POISON, DEADLY = 666, 999
WAIT_S = 10.0

MakeScheduler = Callable[..., Scheduler]


class GatedEncoder(FakeEncoder):
    """A fake encoder that waits for leave before each run."""

    def __init__(self) -> None:
        """Start with the gate closed."""
        super().__init__(poison_id=POISON, deadly_id=DEADLY)
        self.gate = threading.Event()
        self.num_entered = 0

    def encode(self, microbatch: Microbatch, width: Width) -> FloatArray:
        """Wait for the gate, then run."""
        self.num_entered += 1
        assert self.gate.wait(WAIT_S)
        return super().encode(microbatch, width)


@pytest.fixture
def make_scheduler() -> Iterator[MakeScheduler]:
    """Make schedulers that are closed at the end."""
    made: list[Scheduler] = []

    def make(num_lanes: int = 1, token_budget: int = 16, **limits: float) -> Scheduler:
        chosen = Limits(limits.get("deadline_s", 60.0), int(limits.get("max_waiting_tokens", 0)))
        made.append(Scheduler(num_lanes=num_lanes, pace=Pace(token_budget), limits=chosen))
        return made[-1]

    yield make
    for scheduler in made:
        scheduler.close()


def ids(*values: int) -> IntArray:
    """One item's tokens."""
    return np.array(values, dtype=np.int64)


def expected(item: IntArray) -> FloatArray:
    """Mean-pooled unit vector of the fake encoder's [1, id, position, 0]."""
    states = [[1, token, position, 0] for position, token in enumerate(item)]
    mean = np.mean(states, axis=0)
    unit: FloatArray = (mean / np.linalg.norm(mean)).astype(np.float32)
    return unit


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that other threads bring about."""
    end_s = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.001)


def occupy(scheduler: Scheduler, encoder: GatedEncoder) -> Future[Outcome]:
    """Keep the lane busy, so that what follows has to wait."""
    future = scheduler.submit(encoder, [ids(1)], Pooling.MEAN)
    until(lambda: encoder.num_entered == 1)
    return future


def test_answers_keep_the_request_order(make_scheduler: MakeScheduler) -> None:
    """Vectors come back in the order of the texts, whatever ran first."""
    items = [ids(*range(1, n + 1)) for n in (9, 2, 30, 1, 5)]
    outcome = make_scheduler(num_lanes=2).submit(FakeEncoder(), items, Pooling.MEAN).result(WAIT_S)
    np.testing.assert_allclose(outcome.vectors, [expected(item) for item in items], atol=1e-6)


def test_requests_share_a_microbatch(make_scheduler: MakeScheduler) -> None:
    """What waits when the engine becomes free goes together, pooling modes mixed."""
    scheduler, encoder = make_scheduler(), GatedEncoder()
    occupy(scheduler, encoder)
    mean = scheduler.submit(encoder, [ids(3, 4)], Pooling.MEAN)
    cls = scheduler.submit(encoder, [ids(5, 6)], Pooling.CLS)
    encoder.gate.set()
    np.testing.assert_allclose(mean.result(WAIT_S).vectors[0], expected(ids(3, 4)), atol=1e-6)
    np.testing.assert_allclose(cls.result(WAIT_S).vectors[0], expected(ids(5)), atol=1e-6)
    assert [lengths for lengths, _ in encoder.runs] == [[1], [2, 2]]


def test_the_budget_holds_and_a_longer_item_runs_alone(make_scheduler: MakeScheduler) -> None:
    """Microbatches stay within the budget; an item above it is a microbatch of its own."""
    scheduler, encoder = make_scheduler(token_budget=8), GatedEncoder()
    occupy(scheduler, encoder)
    future = scheduler.submit(encoder, [ids(*[1] * n) for n in (3, 3, 3, 20)], Pooling.MEAN)
    encoder.gate.set()
    future.result(WAIT_S)
    sums = [sum(lengths) for lengths, _ in encoder.runs]
    assert all(total <= 8 or total == 20 for total in sums)
    assert [20] in [lengths for lengths, _ in encoder.runs]


def test_a_lone_query_gets_every_core(make_scheduler: MakeScheduler) -> None:
    """On an idle machine a short request runs wide; bulk work does not."""
    scheduler, encoder = make_scheduler(num_lanes=2), FakeEncoder()
    scheduler.submit(encoder, [ids(1, 2)], Pooling.MEAN).result(WAIT_S)
    assert encoder.runs == [([2], Width.ALL_CORES)]
    scheduler.submit(encoder, [ids(*[1] * 10) for _ in range(20)], Pooling.MEAN).result(WAIT_S)
    assert encoder.runs[1][1] is Width.ONE_LANE


def test_a_cancelled_request_costs_no_more(make_scheduler: MakeScheduler) -> None:
    """A client that goes away while its items wait is never embedded."""
    scheduler, encoder = make_scheduler(), GatedEncoder()
    occupy(scheduler, encoder)
    gone = scheduler.submit(encoder, [ids(7, 7, 7)], Pooling.MEAN)
    stays = scheduler.submit(encoder, [ids(8, 8)], Pooling.MEAN)
    assert gone.cancel()
    assert scheduler.room().waiting_tokens == 3
    encoder.gate.set()
    stays.result(WAIT_S)
    assert [lengths for lengths, _ in encoder.runs] == [[1], [2]]


def test_only_the_culprit_gets_the_error(make_scheduler: MakeScheduler) -> None:
    """Its neighbours are tried again, alone, and answered."""
    scheduler, encoder = make_scheduler(), GatedEncoder()
    occupy(scheduler, encoder)
    good = [scheduler.submit(encoder, [ids(n, n)], Pooling.MEAN) for n in (2, 3)]
    bad = scheduler.submit(encoder, [ids(4), ids(POISON)], Pooling.MEAN)
    encoder.gate.set()
    with pytest.raises(EngineError, match="poison"):
        bad.result(WAIT_S)
    for n, future in zip((2, 3), good, strict=True):
        vectors = future.result(WAIT_S).vectors
        np.testing.assert_allclose(vectors[0], expected(ids(n, n)), atol=1e-6)


def test_an_unforeseen_exception_is_an_engine_error(make_scheduler: MakeScheduler) -> None:
    """Whatever the encoder raises, the client gets an error of ours and the lane lives on."""

    class BrokenEncoder(FakeEncoder):
        def encode(self, microbatch: Microbatch, width: Width) -> FloatArray:
            raise ZeroDivisionError

    scheduler = make_scheduler()
    with pytest.raises(EngineError):
        scheduler.submit(BrokenEncoder(), [ids(1)], Pooling.MEAN).result(WAIT_S)
    scheduler.submit(FakeEncoder(), [ids(1)], Pooling.MEAN).result(WAIT_S)


@pytest.mark.parametrize(
    "states", [np.ones((1, 4)), np.full((2, 4), np.nan), np.ones((2, 5)), np.ones((2, 3))]
)
def test_wrong_hidden_states_are_an_error(
    make_scheduler: MakeScheduler, states: FloatArray
) -> None:
    """Wrong numbers of rows or values, or values that are not finite, never reach a client."""

    class WrongEncoder(FakeEncoder):
        def encode(self, microbatch: Microbatch, width: Width) -> FloatArray:
            return states.astype(np.float32)

    with pytest.raises(EngineError):
        make_scheduler().submit(WrongEncoder(), [ids(1, 2)], Pooling.MEAN).result(WAIT_S)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_dead_lane_is_noticed_and_started_anew(make_scheduler: MakeScheduler) -> None:
    """Readiness says so, the culprit gets an error, and others are answered."""
    scheduler, encoder = make_scheduler(), GatedEncoder()
    occupy(scheduler, encoder)
    bad = scheduler.submit(encoder, [ids(DEADLY)], Pooling.MEAN)
    good = scheduler.submit(encoder, [ids(5)], Pooling.MEAN)
    encoder.gate.set()
    until(lambda: "died" in scheduler.trouble(60.0))
    np.testing.assert_allclose(good.result(WAIT_S).vectors[0], expected(ids(5)), atol=1e-6)
    with pytest.raises(EngineDiedError):
        bad.result(WAIT_S)
    until(lambda: scheduler.trouble(60.0) == "")


def test_a_stuck_microbatch_is_noticed(make_scheduler: MakeScheduler) -> None:
    """A run that outlasts its limit makes the engine not ready."""
    scheduler, encoder = make_scheduler(), GatedEncoder()
    occupy(scheduler, encoder)
    assert scheduler.trouble(60.0) == ""
    until(lambda: "running for" in scheduler.trouble(0.01))
    encoder.gate.set()


def test_a_full_room_refuses(make_scheduler: MakeScheduler) -> None:
    """Past the limit, a request hears when to come again, and what waits is kept."""
    scheduler, encoder = make_scheduler(max_waiting_tokens=10), GatedEncoder()
    occupy(scheduler, encoder)
    waits = scheduler.submit(encoder, [ids(*[1] * 9)], Pooling.MEAN)
    with pytest.raises(OverloadedError) as caught:
        scheduler.submit(encoder, [ids(1)], Pooling.MEAN)
    assert caught.value.retry_after_s >= 1
    encoder.gate.set()
    waits.result(WAIT_S)
    until(lambda: scheduler.room().waiting_tokens == 0)


def test_a_query_does_not_wait_for_somebody_elses_bulk(make_scheduler: MakeScheduler) -> None:
    """It goes next, though hundreds of texts came before it."""
    scheduler, encoder = make_scheduler(), GatedEncoder()
    occupy(scheduler, encoder)
    bulk = scheduler.submit(encoder, [ids(*[2] * 8)] * 200, Pooling.MEAN)
    query = scheduler.submit(encoder, [ids(3)], Pooling.MEAN)
    encoder.gate.set()
    query.result(WAIT_S)
    bulk.result(WAIT_S)
    with_query = next(
        i for i, (lengths, _) in enumerate(encoder.runs) if 1 in lengths[1:] or i == 1
    )
    assert with_query <= 2


def test_a_flood_of_short_texts_does_not_starve_a_long_one(make_scheduler: MakeScheduler) -> None:
    """Every fourth microbatch is the oldest request's."""
    scheduler, encoder = make_scheduler(token_budget=1), GatedEncoder()
    occupy(scheduler, encoder)
    long = scheduler.submit(encoder, [ids(*[2] * 50)], Pooling.MEAN)
    short = [scheduler.submit(encoder, [ids(3)], Pooling.MEAN) for _ in range(40)]
    encoder.gate.set()
    for future in (long, *short):
        future.result(WAIT_S)
    position = next(i for i, (lengths, _) in enumerate(encoder.runs) if 50 in lengths)
    assert position <= OLDEST_EVERY


def test_two_models_share_the_lanes(make_scheduler: MakeScheduler) -> None:
    """A microbatch holds one model's items only, and both are answered."""
    scheduler, first, second = make_scheduler(), GatedEncoder(), FakeEncoder()
    occupy(scheduler, first)
    futures = [scheduler.submit(e, [ids(2, 3)], Pooling.MEAN) for e in (first, second) * 3]
    first.gate.set()
    for future in futures:
        np.testing.assert_allclose(future.result(WAIT_S).vectors[0], expected(ids(2, 3)), atol=1e-6)
    assert sum(len(lengths) for lengths, _ in second.runs) == 3


def test_close_finishes_running_work_and_refuses_the_rest() -> None:
    """What runs is answered, what waits and what comes gets ShuttingDownError."""
    scheduler = Scheduler(num_lanes=1, pace=Pace(16), limits=Limits(60.0, 0))
    encoder = GatedEncoder()
    runs = occupy(scheduler, encoder)
    waits = scheduler.submit(encoder, [ids(2)], Pooling.MEAN)
    closing = threading.Thread(target=scheduler.close)
    closing.start()
    with pytest.raises(ShuttingDownError):
        waits.result(WAIT_S)
    encoder.gate.set()
    closing.join(WAIT_S)
    assert runs.result(0).vectors.shape == (1, 4)
    with pytest.raises(ShuttingDownError):
        scheduler.submit(encoder, [ids(3)], Pooling.MEAN)


def test_many_threads_lose_nothing(make_scheduler: MakeScheduler) -> None:
    """Under concurrent submits and cancels every request ends in its own answer."""
    scheduler, encoder = make_scheduler(num_lanes=3, token_budget=64), FakeEncoder()
    wrong: list[int] = []

    def client(seed: int) -> None:
        random = np.random.default_rng(seed)
        for _ in range(40):
            items = [
                random.integers(1, 500, random.integers(1, 20))
                for _ in range(random.integers(1, 6))
            ]
            future = scheduler.submit(encoder, items, Pooling.MEAN)
            if random.random() < 0.2 and future.cancel():
                continue
            vectors = future.result(WAIT_S).vectors
            if not np.allclose(vectors, [expected(item) for item in items], atol=1e-5):
                wrong.append(seed)

    threads = [threading.Thread(target=client, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert not wrong
    until(lambda: scheduler.room().waiting_tokens == 0)


def test_a_failure_while_closing_leaves_nobody_waiting() -> None:
    """Items that would be tried again are refused once nothing will run them."""
    scheduler, encoder = (
        Scheduler(num_lanes=1, pace=Pace(16), limits=Limits(60.0, 0)),
        GatedEncoder(),
    )
    futures = [scheduler.submit(encoder, [ids(POISON), ids(2)], Pooling.MEAN) for _ in range(2)]
    until(lambda: encoder.num_entered == 1)
    assert not scheduler.close(timeout_s=0.01)
    encoder.gate.set()
    assert scheduler.close(WAIT_S)
    for future in futures:
        with pytest.raises((ShuttingDownError, EngineError)):
            future.result(WAIT_S)


def test_items_of_a_client_that_left_are_not_tried_again(make_scheduler: MakeScheduler) -> None:
    """A failed microbatch singles out only those that somebody waits for."""
    scheduler, encoder = make_scheduler(), GatedEncoder()
    gone = scheduler.submit(encoder, [ids(POISON), ids(2), ids(3)], Pooling.MEAN)
    until(lambda: encoder.num_entered == 1)
    gone.cancel()
    encoder.gate.set()
    until(lambda: scheduler.room().waiting_tokens == 0)
    scheduler.submit(encoder, [ids(4)], Pooling.MEAN).result(WAIT_S)
    assert [lengths for lengths, _ in encoder.runs] == [[1, 1, 1], [1]]


def test_failed_runs_do_not_teach_the_rate(make_scheduler: MakeScheduler) -> None:
    """Instant failures would make the engine look fast, and the room too large."""
    scheduler, encoder = make_scheduler(deadline_s=1.0), GatedEncoder()
    scheduler.note_rate(encoder, 10, 1.0)
    encoder.gate.set()
    for _ in range(5):
        with pytest.raises(EngineError):
            scheduler.submit(encoder, [ids(POISON)], Pooling.MEAN).result(WAIT_S)
    encoder.gate.clear()
    scheduler.submit(encoder, [ids(1, 1, 1, 1, 1)], Pooling.MEAN)
    with pytest.raises(OverloadedError):
        scheduler.submit(encoder, [ids(*[1] * 9)], Pooling.MEAN)
    encoder.gate.set()


def test_a_machine_that_slept_does_not_refuse_for_good() -> None:
    """One run that took an hour says little of the next."""
    rate = Rate()
    rate.note_run(1_000, 1.0)
    rate.note_run(500, 3_600.0)
    assert rate.tokens_per_s > 400
    assert rate.best_tokens_per_s == 1_000


def test_an_engine_that_became_slow_is_known_to_be() -> None:
    """Many runs say what one may not."""
    rate = Rate()
    rate.note_run(1_000, 1.0)
    for _ in range(30):
        rate.note_run(1_000, 100.0)
    assert rate.tokens_per_s == pytest.approx(10.0, rel=0.2)


def test_a_reservation_counts_until_it_ends(make_scheduler: MakeScheduler) -> None:
    """Requests that are still being tokenised fill the room as well."""
    scheduler, encoder = make_scheduler(max_waiting_tokens=10), FakeEncoder()
    with scheduler.reserve(encoder, 8):
        with pytest.raises(OverloadedError), scheduler.reserve(encoder, 3):
            pass
        assert scheduler.room().waiting_tokens == 8
    assert scheduler.room().waiting_tokens == 0
