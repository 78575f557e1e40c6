"""What a run and an admission cost where thousands of requests wait: counted, not timed."""

from __future__ import annotations

import numpy as np
import pytest
from support.clocks import Clock

from satsuma.engine.load import FakeEncoder
from satsuma.errors import OverloadedError
from satsuma.scheduler import waiting
from satsuma.scheduler.admission import Limits
from satsuma.scheduler.board import Board
from satsuma.scheduler.lanes import Lane
from satsuma.scheduler.pace import Pace
from satsuma.scheduler.policy import find_pressed, size_of
from satsuma.scheduler.tickets import make_ticket
from satsuma.types import Pooling

DEADLINE_S = 60.0
RATE_TOKENS_PER_S = 5_000.0
TOKEN_BUDGET = 1_024
NUM_REQUESTS = 3_000
NUM_RUNS = 20


@pytest.fixture
def clock() -> Clock:
    """Begin at 0."""
    return Clock()


@pytest.fixture
def board(clock: Clock) -> Board:
    """A crowded one: requests of 60 tokens that take 36 s in all."""
    limits = Limits(DEADLINE_S, max_waiting_tokens=0)
    board = Board(num_lanes=2, pace=Pace(TOKEN_BUDGET), limits=limits, clock=clock)
    encoder = FakeEncoder()
    board.queue(encoder).rate.note_run(1_000, 1_000 / RATE_TOKENS_PER_S)
    for _ in range(NUM_REQUESTS):
        ids = [np.zeros(60, np.int64)]
        _, items = make_ticket(4, ids, Pooling.MEAN, clock(), size_of(60, TOKEN_BUDGET))
        board.add(encoder, items, is_background=False)
    return board


def test_one_look_serves_many_runs(
    board: Board, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests that are pressed are not looked at one by one for each microbatch."""
    looks: list[float] = []

    def look(*args: object) -> int | None:
        looks.append(clock())
        return find_pressed(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(waiting, "find_pressed", look)
    clock.now_s = 0.5 * DEADLINE_S
    for _ in range(NUM_RUNS):
        run = board.begin(Lane(0))
        assert run.items
        board.end(Lane(0))
        clock.now_s += 0.01
    assert len(looks) == 1
    clock.now_s += 1.0
    board.begin(Lane(0))
    assert len(looks) == 2


def test_a_refusal_looks_at_no_small_request(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums decide, since turning people away has to be cheap above all."""
    (queue,) = board._interactive.queues
    monkeypatch.setattr(queue, "_waiting", None)
    with pytest.raises(OverloadedError):
        board.admit(queue, 50_000)


def test_sums_decide_as_a_look_at_each_does(board: Board) -> None:
    """Both say the same of what waits."""
    whole, sums = board.room(), board._room_by_sums()
    assert whole.waiting_tokens == sums.waiting_tokens == 60 * NUM_REQUESTS
    assert whole.waiting_s == pytest.approx(sums.waiting_s)
    assert whole.bounded_s(0.6 * DEADLINE_S) == pytest.approx(sums.bounded_s(0.6 * DEADLINE_S))
