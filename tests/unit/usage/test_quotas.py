"""A minute's worth: what is let in, when to come again, and what a client is told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from satsuma.usage.quotas import Limits, Quotas, Standing

TEN = Limits(requests_per_minute=10)


def ask(quotas: Quotas, limits: Limits, now_s: float, who: str = "me") -> float:
    """Make a request if it may be made; give the wait."""
    wait_s = quotas.wait_s(who, limits, "requests", now_s)
    if not wait_s:
        quotas.take(who, limits, "requests", 1, now_s)
    return wait_s


def test_a_minute_s_worth_at_once_and_then_steadily() -> None:
    """The eleventh of ten waits for a tenth of a minute."""
    quotas = Quotas()
    assert [ask(quotas, TEN, 0.0) for _ in range(10)] == [0.0] * 10
    assert ask(quotas, TEN, 0.0) == pytest.approx(6)
    assert ask(quotas, TEN, 5.9) == pytest.approx(0.1)
    assert ask(quotas, TEN, 6.001) == 0


def test_each_has_a_bucket_of_its_own() -> None:
    """One account's flood is nothing to another."""
    quotas = Quotas()
    for _ in range(10):
        ask(quotas, TEN, 0.0)
    assert ask(quotas, TEN, 0.0, who="you") == 0


def test_more_tokens_than_there_were_are_a_debt() -> None:
    """A large request is let in, and paid for before the next."""
    quotas, limits = Quotas(), Limits(tokens_per_minute=600)
    assert quotas.wait_s("me", limits, "tokens", 0.0) == 0
    quotas.take("me", limits, "tokens", 1200, 0.0)
    assert quotas.wait_s("me", limits, "tokens", 0.0) == pytest.approx(60.1)
    assert quotas.wait_s("me", limits, "tokens", 60.1) == 0


def test_what_is_given_back_is_no_more_than_there_was() -> None:
    """A guess that was too high leaves what the truth would have left, and a full quota full."""
    quotas, limits = Quotas(), Limits(tokens_per_minute=600)
    quotas.take("me", limits, "tokens", 500, 0.0)
    quotas.take("me", limits, "tokens", -400, 20.0)
    assert left(quotas, limits, 20.0) == 600
    quotas.take("me", limits, "tokens", 500, 20.0)
    quotas.take("me", limits, "tokens", -100, 21.0)
    assert left(quotas, limits, 21.0) == 600 - 400 + 10


def left(quotas: Quotas, limits: Limits, now_s: float) -> int:
    """The tokens that a client is told of."""
    return next(
        one.remaining for one in quotas.standings("me", limits, now_s) if one.name == "tokens"
    )


def test_no_limits_keep_nothing() -> None:
    """Nobody who may do anything costs memory."""
    quotas = Quotas()
    assert ask(quotas, Limits(), 0.0) == 0
    quotas.take("me", Limits(), "tokens", 10**9, 0.0)
    assert quotas.standings("me", Limits(), 0.0) == []


def test_a_client_is_told_what_is_left() -> None:
    """Whole ones, and when all will be there again."""
    quotas, limits = Quotas(), Limits(10, 600)
    ask(quotas, limits, 0.0)
    quotas.take("me", limits, "tokens", 100, 0.0)
    assert quotas.standings("me", limits, 0.0) == [
        Standing("requests", 10, 9, 6),
        Standing("tokens", 600, 500, 10),
    ]


def test_a_changed_limit_counts_at_once() -> None:
    """With a new minute's worth."""
    quotas = Quotas()
    for _ in range(10):
        ask(quotas, TEN, 0.0)
    assert ask(quotas, Limits(requests_per_minute=20), 0.0) == 0


@given(st.lists(st.floats(0, 30), max_size=80))
def test_no_minute_has_more_than_two_minutes_worth(gaps_s: list[float]) -> None:
    """However requests come: a full bucket, and what came meanwhile."""
    quotas, now_s, made_at_s = Quotas(), 0.0, []
    for gap_s in gaps_s:
        now_s += gap_s
        if not ask(quotas, TEN, now_s):
            made_at_s.append(now_s)
    for start_s in made_at_s:
        assert sum(start_s <= one < start_s + 60 for one in made_at_s) <= 20
