"""What is held while requests are under way, by a clock of the test's own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from satsuma.errors import RateLimitedError
from satsuma.usage.limiter import Holders, Limiter
from satsuma.usage.quotas import Limits

QUOTA = 600
ME: Holders = [("me", Limits(tokens_per_minute=QUOTA))]
MOST = 1000  # tokens of a request


class Clock:
    """Stands still until it is moved."""

    now_s = 0.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now_s


async def remaining(limiter: Limiter) -> int:
    """The tokens that are left."""
    (standing,) = await limiter.settle(ME, 0)
    return standing.remaining


async def test_what_is_under_way_counts() -> None:
    """One request may overdraw; the next waits, although the first has no answer yet."""
    limiter = Limiter(Clock())
    await limiter.hold(ME, 400)
    await limiter.hold(ME, 400)
    with pytest.raises(RateLimitedError) as caught:
        await limiter.hold(ME, 1)
    assert caught.value.retry_after_s == pytest.approx(20.1)


async def test_more_than_a_minute_s_worth_is_let_in_alone() -> None:
    """While anything is left; then it is a debt."""
    clock = Clock()
    limiter = Limiter(clock)
    await limiter.hold(ME, 10 * QUOTA)
    clock.now_s = 9 * 60.0
    with pytest.raises(RateLimitedError):
        await limiter.hold(ME, 1)
    clock.now_s += 0.2
    await limiter.hold(ME, 10 * QUOTA)


async def test_a_guess_is_mended() -> None:
    """Either way; and a failure costs nothing."""
    limiter = Limiter(Clock())
    await limiter.hold(ME, 100)
    assert await remaining(limiter) == 500
    await limiter.settle(ME, 150 - 100)
    assert await remaining(limiter) == 450
    await limiter.hold(ME, 100)
    await limiter.settle(ME, -100)
    assert await remaining(limiter) == 450


async def test_all_of_them_must_have_one_left() -> None:
    """Nothing is taken of an account whose token has none."""
    limiter = Limiter(Clock())
    token = ("token", Limits(tokens_per_minute=1))
    await limiter.hold([token], 1)
    with pytest.raises(RateLimitedError):
        await limiter.hold([*ME, token], 100)
    assert await remaining(limiter) == QUOTA


async def test_debts_do_not_keep_from_what_needs_no_tokens() -> None:
    """Such as asking for a job that was paid for."""
    limiter = Limiter(Clock())
    await limiter.hold(ME, 10 * QUOTA)
    await limiter.admit(ME)


steps = st.lists(st.tuples(st.floats(0, 20), st.integers(1, MOST), st.booleans()), max_size=60)


@given(steps)
async def test_no_minute_has_more_than_two_minutes_worth_and_one_request(
    steps: list[tuple[float, int, bool]],
) -> None:
    """However requests come and however long they take, where guesses are right."""
    clock, let_in = Clock(), list[tuple[float, int]]()
    limiter = Limiter(clock)
    for gap_s, num_tokens, has_failed in steps:
        clock.now_s += gap_s
        try:
            await limiter.hold(ME, num_tokens)
        except RateLimitedError:
            continue
        if has_failed:
            await limiter.settle(ME, -num_tokens)
        else:
            let_in.append((clock.now_s, num_tokens))
    for start_s, _ in let_in:
        within = [tokens for at_s, tokens in let_in if start_s <= at_s < start_s + 60]
        assert sum(within) <= 2 * QUOTA + MOST


@given(st.lists(st.tuples(st.integers(0, MOST), st.integers(0, MOST)), max_size=40))
async def test_the_truth_is_charged_in_the_end(requests: list[tuple[int, int]]) -> None:
    """Whatever was guessed."""
    limiter, spent = Limiter(Clock()), 0
    for guess, truth in requests:
        try:
            await limiter.hold(ME, guess)
        except RateLimitedError:
            assert spent >= QUOTA
            return
        await limiter.settle(ME, truth - guess)
        spent += truth
        assert await remaining(limiter) == max(0, QUOTA - spent)
