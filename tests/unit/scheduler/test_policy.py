"""The batching policy as arithmetic."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from satsuma.scheduler.policy import (
    AGEING_TOKENS_PER_S,
    MAX_PADDING_RATIO,
    choose_items,
    rank,
    runs_wide,
    share_budget,
)

sizes = st.lists(st.integers(1, 600), min_size=1, max_size=60)
budgets = st.integers(1, 1024)


@given(sizes, budgets)
def test_the_head_always_goes(num_tokens: list[int], budget: int) -> None:
    """Whatever waits behind it, the first item is in the microbatch."""
    assert choose_items(num_tokens, budget)[0] == 0


@given(sizes, budgets)
def test_no_item_is_chosen_twice(num_tokens: list[int], budget: int) -> None:
    """Indices are distinct, ascending and inside the window."""
    chosen = choose_items(num_tokens, budget)
    assert chosen == sorted(set(chosen))
    assert chosen[-1] < len(num_tokens)


@given(sizes, budgets)
def test_the_budget_is_kept_unless_an_item_is_alone(num_tokens: list[int], budget: int) -> None:
    """Only a lone item may be above the budget."""
    chosen = choose_items(num_tokens, budget)
    assert len(chosen) == 1 or sum(num_tokens[i] for i in chosen) <= budget


@given(sizes, budgets)
def test_the_rectangle_that_attention_pays_for_is_bounded(
    num_tokens: list[int], budget: int
) -> None:
    """Items times the longest stays under the ratio, except for a lone item."""
    chosen = [num_tokens[i] for i in choose_items(num_tokens, budget)]
    assert len(chosen) == 1 or len(chosen) * max(chosen) <= MAX_PADDING_RATIO * budget


@given(st.lists(st.integers(1, 600), min_size=1, max_size=80), budgets)
def test_every_item_is_served_once(num_tokens: list[int], budget: int) -> None:
    """Choosing until nothing waits serves each item exactly once."""
    waiting = list(enumerate(num_tokens))
    served: list[int] = []
    while waiting:
        chosen = set(choose_items([size for _, size in waiting], budget))
        served += [waiting[i][0] for i in chosen]
        waiting = [item for i, item in enumerate(waiting) if i not in chosen]
    assert sorted(served) == list(range(len(num_tokens)))


def test_like_goes_with_like() -> None:
    """Of what fits, the items nearest in length to the head are taken."""
    assert choose_items([10, 300, 12, 290, 11], 100) == [0, 2, 4]
    assert choose_items([300, 10, 290], 595) == [0, 2]


@given(st.integers(1, 512), st.integers(1, 512), st.floats(0, 1e6), st.floats(0.001, 100))
def test_waiting_makes_up_for_length(long: int, short: int, at_s: float, more_s: float) -> None:
    """An item that has waited for its length in ageing goes before any newcomer."""
    waited_s = long / AGEING_TOKENS_PER_S + more_s
    assert rank(long, at_s) < rank(short, at_s + waited_s)


def test_short_goes_before_long_of_the_same_moment() -> None:
    """Shortest first, where ages are equal."""
    assert rank(10, 5.0) < rank(11, 5.0)


@given(st.lists(st.tuples(st.integers(1, 512), st.floats(0, 0.01)), min_size=1, max_size=200))
def test_nothing_starves_under_a_stream_of_short_texts(arrivals: list[tuple[int, float]]) -> None:
    """A long text is overtaken only by what arrives within its own ageing time."""
    now_s, ranks = 0.0, []
    for size, gap_s in arrivals:
        now_s += gap_s
        ranks.append((rank(size, now_s), now_s))
    long_rank = rank(512, 0.0)
    assert all(at_s <= 512 / AGEING_TOKENS_PER_S for r, at_s in ranks if r < long_rank)


def test_what_cannot_fill_the_lanes_gets_every_core() -> None:
    """On an idle machine: a lone text, a few short ones, or one that outweighs the rest."""
    assert runs_wide([10], num_lanes=2, num_busy=0)
    assert runs_wide([400], num_lanes=2, num_busy=0)
    assert runs_wide([11, 11, 11], num_lanes=2, num_busy=0)
    assert runs_wide([500, 10], num_lanes=2, num_busy=0)


def test_what_can_fill_the_lanes_is_split() -> None:
    """Enough for each lane, and even enough; or another lane is busy already."""
    assert not runs_wide([10] * 16, num_lanes=2, num_busy=0)
    assert not runs_wide([300, 300], num_lanes=2, num_busy=0)
    assert not runs_wide([10], num_lanes=2, num_busy=1)


def test_a_single_lane_is_always_wide() -> None:
    """With one core there is nothing to divide."""
    assert runs_wide([10_000], num_lanes=1, num_busy=0)


@given(st.integers(1, 100_000), budgets, st.integers(1, 64), st.integers(0, 63))
def test_a_share_never_exceeds_the_budget(waiting: int, budget: int, lanes: int, busy: int) -> None:
    """Shares leave the others their part, within the budget."""
    share = share_budget(waiting, budget, lanes, busy)
    assert 0 < share <= budget
    assert share * lanes >= min(waiting, budget)


def test_shares_are_even() -> None:
    """Two idle lanes get half of what waits each; the end of a queue is cut smaller."""
    assert share_budget(160, 512, num_lanes=2, num_busy=0) == 80
    assert share_budget(600, 512, num_lanes=2, num_busy=0) == 300
    assert share_budget(600, 512, num_lanes=2, num_busy=1) == 300
    assert share_budget(100, 512, num_lanes=2, num_busy=1) == 128
