"""The batching policy as arithmetic."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from satsuma.scheduler.pace import MIN_SHARE_TOKENS, Pace, share_budget
from satsuma.scheduler.policy import (
    EXPRESS_TOKENS,
    MAX_PADDING_RATIO,
    UNMEASURED_TOKENS_PER_S,
    Size,
    choose_express,
    choose_items,
    kept_apart_from,
    needs_express,
    ranks,
    runs_wide,
    size_of,
    tells_rate,
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


@given(sizes, st.floats(0, 1e6), st.floats(1, 1e5))
def test_a_request_is_ranked_as_if_it_had_the_engine_alone(
    num_tokens: list[int], virtual_s: float, rate: float
) -> None:
    """Long items first; the last one is done when all of it is."""
    places = ranks(num_tokens, virtual_s, rate)
    assert max(places) == pytest.approx(virtual_s + sum(num_tokens) / rate)
    by_rank = sorted(range(len(num_tokens)), key=lambda i: (places[i], i))
    assert [num_tokens[i] for i in by_rank] == sorted(num_tokens, reverse=True)


@given(st.integers(2, 600), st.integers(1, 599))
def test_a_short_request_goes_before_a_long_one_of_the_same_moment(long: int, short: int) -> None:
    """Whichever came first."""
    assert (ranks([short], 7.0, 100.0) < ranks([long], 7.0, 100.0)) == (short < long)


def test_a_newcomer_goes_before_the_rest_of_a_big_request() -> None:
    """Once the engine has worked for its length, that is where the newcomer is ranked."""
    big = ranks([100] * 50, 0.0, 100.0)
    query = ranks([10], big[7], 100.0)[0]
    assert big[7] < query < big[8]


def test_an_unmeasured_encoder_is_ranked_all_the_same() -> None:
    """At a guess."""
    assert ranks([1024], 1.0, 0.0) == [1.0 + 1024 / UNMEASURED_TOKENS_PER_S]


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


@given(st.integers(1, 100_000), st.integers(0, 5_000), budgets, st.integers(1, 64))
def test_a_share_never_exceeds_the_budget(
    waiting: int, running: int, budget: int, lanes: int
) -> None:
    """Shares leave the others their part, within the budget."""
    share = share_budget(waiting, running, Pace(budget), lanes)
    assert 0 < share <= budget
    assert share * lanes >= min(waiting, budget)


@pytest.mark.parametrize(
    ("waiting", "running", "expected"),
    [
        (160, 0, 80),  # two idle lanes get half of it each
        (600, 0, 300),
        (600, 512, 300),
        (100, 512, 128),  # enough for the full rate, and the other lane has its own
        (117, 13, 65),  # ten short texts, one of which runs: five each
        (20, 13, 32),  # too little to be split
    ],
)
def test_shares_are_even(waiting: int, running: int, expected: int) -> None:
    """On two lanes; the end of a queue is cut smaller."""
    assert share_budget(waiting, running, Pace(512), num_lanes=2) == expected


def test_few_clients_fall_into_even_turns() -> None:
    """Ten texts that come again once they are done: lanes that held one and nine soon hold five."""
    done_at, held, waiting = [1, 9], [1, 9], 0
    for _ in range(20):
        lane = done_at.index(min(done_at))
        waiting, held[lane] = waiting + held[lane], 0
        share = share_budget(13 * waiting, 13 * sum(held), Pace(512), num_lanes=2)
        held[lane] = min(waiting, share // 13)
        waiting -= held[lane]
        done_at[lane] += held[lane]
    assert sorted(held) == [5, 5]


def test_requests_are_sized_by_their_tokens() -> None:
    """A query fits on the express lane, bulk work fills more than a microbatch."""
    sizes_ = [size_of(tokens, 512) for tokens in (1, EXPRESS_TOKENS, EXPRESS_TOKENS + 1, 512, 513)]
    assert sizes_ == [Size.QUERY, Size.QUERY, Size.MIDDLE, Size.MIDDLE, Size.BULK]


def test_only_queries_and_bulk_keep_apart() -> None:
    """A query would wait for the bulk work; anything else shares."""
    assert kept_apart_from(Size.QUERY) is Size.BULK
    assert kept_apart_from(Size.BULK) is Size.QUERY
    assert kept_apart_from(Size.MIDDLE) is None


@pytest.mark.parametrize(
    ("holds_query", "is_wide", "expected"),
    [
        ([], False, False),  # an idle machine
        ([False], False, False),  # a core is free
        ([False, False], False, True),
        ([False, True], False, False),  # a core soon will be
        ([False], True, True),  # a long text has every core
        ([True], True, False),
    ],
)
def test_the_express_lane_opens_when_longer_work_holds_every_core(
    holds_query: list[bool], is_wide: bool, expected: bool
) -> None:
    """Of two cores."""
    assert needs_express(holds_query, 2, is_wide=is_wide) is expected


def test_one_core_has_an_express_lane_too() -> None:
    """There a query waits for bulk work most of all."""
    assert needs_express([False], 1, is_wide=True)


@given(st.lists(st.integers(1, EXPRESS_TOKENS), min_size=1, max_size=40))
def test_an_express_microbatch_is_small_and_has_the_first(num_tokens: list[int]) -> None:
    """The queries that rank first, without a gap, as many as fit."""
    chosen = choose_express(num_tokens)
    assert chosen == list(range(len(chosen)))
    assert chosen
    assert sum(num_tokens[i] for i in chosen) <= EXPRESS_TOKENS


def test_small_and_express_runs_tell_no_rate() -> None:
    """They are slower than work that has to wait will be."""
    assert tells_rate(MIN_SHARE_TOKENS, is_express=False)
    assert not tells_rate(MIN_SHARE_TOKENS - 1, is_express=False)
    assert not tells_rate(MIN_SHARE_TOKENS, is_express=True)


@pytest.mark.parametrize("num_lanes", [2, 4])
def test_lanes_end_together(num_lanes: int) -> None:
    """A request of mixed lengths keeps every lane busy to the end, but for 3 %."""
    num_tokens = list(range(8, 256, 8))
    places = ranks(num_tokens, 0, 1)
    waiting = [num_tokens[i] for i in sorted(range(len(places)), key=places.__getitem__)]
    done_at, holds = [0] * num_lanes, [0] * num_lanes
    while waiting:
        lane = done_at.index(min(done_at))
        running = sum(held for held, end in zip(holds, done_at, strict=True) if end > done_at[lane])
        chosen = choose_items(waiting, share_budget(sum(waiting), running, Pace(512), num_lanes))
        holds[lane] = sum(waiting[i] for i in chosen)
        done_at[lane] += holds[lane]
        waiting = [size for i, size in enumerate(waiting) if i not in chosen]
    assert sum(num_tokens) / num_lanes > 0.97 * max(done_at)
