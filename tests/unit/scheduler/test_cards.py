"""How work is cut for cards: much at once, and no run wide."""

from __future__ import annotations

import numpy as np
import pytest

from satsuma.engine.fake import FakeEncoder
from satsuma.engine.protocol import Width
from satsuma.scheduler.admission import Limits
from satsuma.scheduler.board import Board
from satsuma.scheduler.lanes import Lane
from satsuma.scheduler.pace import Pace, background_pace, choose_pace, share_budget
from satsuma.scheduler.policy import size_of
from satsuma.scheduler.tickets import make_ticket
from satsuma.types import Pooling

BUDGET = 8192
PACE = choose_pace(BUDGET, is_on_cards=True)


@pytest.fixture
def board() -> Board:
    """Of one card, with its two lanes."""
    return Board(num_lanes=2, pace=PACE, limits=Limits(60.0, 0), clock=lambda: 0.0)


def add(board: Board, encoder: FakeEncoder, lengths: list[int], *, in_one: bool = False) -> None:
    """Let texts wait, as one request or each as its own."""
    for request in [lengths] if in_one else [[length] for length in lengths]:
        items = [np.zeros(length, np.int64) for length in request]
        size = size_of(sum(request), BUDGET)
        _, made = make_ticket(4, items, Pooling.MEAN, 0.0, size)
        board.add(encoder, made, is_background=False)


def test_a_core_s_pace_is_what_it_was() -> None:
    """Numbers that were measured on cores, whatever the budget."""
    pace = choose_pace(2048, is_on_cards=False)
    assert (pace.least, pace.full, pace.background, pace.window_items) == (32, 128, 256, 128)
    assert pace.runs_wide


@pytest.mark.parametrize(
    ("waiting", "running", "expected"),
    [(1000, 0, 2048), (6000, 0, 3000), (6000, 9, 3000), (100_000, 9, BUDGET), (100, 9, 2048)],
)
def test_shares_stay_large(waiting: int, running: int, expected: int) -> None:
    """Down to a quarter of the budget, below which a card idles."""
    assert share_budget(waiting, running, PACE, num_lanes=2) == expected


def test_a_microbatch_is_filled_with_hundreds_of_short_texts(board: Board) -> None:
    """More than a core's would ever hold."""
    add(board, FakeEncoder(), [20] * 1000)
    runs = [board.begin(Lane(number)) for number in range(2)]
    assert [run.num_tokens for run in runs] == [BUDGET // 20 * 20, (20_000 - 8180) // 2 // 20 * 20]
    assert {run.width for run in runs} == {Width.ONE_LANE}


def test_a_lone_query_leaves_the_other_lane_free(board: Board) -> None:
    """There is nothing to gain from waiting for both."""
    encoder = FakeEncoder()
    add(board, encoder, [10])
    assert board.begin(Lane(0)).width is Width.ONE_LANE
    add(board, encoder, [10])
    assert board.may_take(is_express=False)


def test_background_work_has_half(board: Board) -> None:
    """Whoever comes waits for less than a whole microbatch."""
    assert background_pace(PACE).budget == BUDGET // 2
    _, items = make_ticket(4, [np.zeros(20, np.int64)] * 1000, Pooling.MEAN, 0.0)
    board.add(FakeEncoder(), items, is_background=True)
    assert board.begin(Lane(0)).num_tokens == BUDGET // 2 // 20 * 20


def test_each_encoder_has_the_pace_that_was_measured(board: Board) -> None:
    """A small model wants more at once than a large one."""
    large, small = FakeEncoder(), FakeEncoder(hidden_size=8)
    board.queue(small).rate.pace = Pace(64, runs_wide=False)
    assert (board.pace(large).budget, board.pace(small).budget) == (BUDGET, 64)
    add(board, small, [20] * 100)
    assert board.begin(Lane(0)).num_tokens == 60
    _, items = make_ticket(8, [np.zeros(20, np.int64)] * 100, Pooling.MEAN, 0.0)
    board.add(small, items, is_background=True)
    assert board.pace(small).budget == 64


def test_a_run_alone_has_the_card_to_itself(board: Board) -> None:
    """Its rate is the engine's; that of two at once is theirs together."""
    encoder = FakeEncoder()
    add(board, encoder, [20] * 2000)
    run = board.begin(Lane(0))
    board.end(Lane(0), engine_s=1.0)
    assert board.queue(encoder).rate_tokens_per_s == pytest.approx(run.num_tokens)
    first, second = board.begin(Lane(0)), board.begin(Lane(1))
    rate = board.queue(encoder).rate
    rate.__init__()  # type: ignore[misc]
    board.end(Lane(0), engine_s=2.0)
    assert rate.tokens_per_s == pytest.approx(first.num_tokens)
    assert second.num_tokens
