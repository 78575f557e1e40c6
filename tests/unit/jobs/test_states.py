"""What becomes of a queued request, and which are taken next, as arithmetic."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from satsuma.jobs.states import (
    MAX_ERRORS,
    MAX_LONE_LOSSES,
    Attempts,
    Candidate,
    JobStatus,
    choose_slice,
    outage_pause_s,
    retry_after_s,
    status_of,
    target_tokens,
    texts_per_s,
)

CANDIDATES = st.lists(
    st.builds(
        Candidate, st.sampled_from(["a", "b"]), st.integers(1, 600), st.sampled_from([False, True])
    ),
    max_size=30,
)


@pytest.mark.parametrize(
    ("has_begun", "num_finished", "num_requests", "status"),
    [
        (False, 0, 3, JobStatus.QUEUED),
        (True, 0, 3, JobStatus.RUNNING),
        (True, 2, 3, JobStatus.RUNNING),
        (True, 3, 3, JobStatus.DONE),
        (False, 3, 3, JobStatus.DONE),
        (False, 0, 0, JobStatus.DONE),
    ],
)
def test_status(has_begun: bool, num_finished: int, num_requests: int, status: JobStatus) -> None:
    """Queued until a request of it was taken, done when none is left."""
    found = status_of(has_begun=has_begun, num_finished=num_finished, num_requests=num_requests)
    assert found is status


def test_an_engine_error_is_forgiven_twice() -> None:
    """The third ends the request; nobody suspects it of ending servers."""
    attempts = Attempts()
    for num_errors in range(1, MAX_ERRORS + 1):
        attempts = attempts.after_error()
        assert attempts.are_spent == (num_errors == MAX_ERRORS)
    assert not attempts.is_suspect


def test_the_pause_before_another_try_grows() -> None:
    """The first try has none."""
    first, second = Attempts().after_error(), Attempts().after_error().after_error()
    assert Attempts().pause_s == 0.0 < first.pause_s < second.pause_s


@given(st.integers(1, 1000))
def test_company_is_never_given_up(num_losses: int) -> None:
    """However often operators kill the server that holds it among others, it runs in the end."""
    attempts = Attempts()
    for _ in range(num_losses):
        attempts = attempts.after_loss(was_alone=False)
    assert attempts.is_suspect
    assert not attempts.are_spent


def test_a_text_that_ends_servers_is_given_up() -> None:
    """Once in company, which proves nothing, and three times alone."""
    attempts = Attempts().after_loss(was_alone=False)
    for num_alone in range(1, MAX_LONE_LOSSES + 1):
        assert not attempts.are_spent
        attempts = attempts.after_loss(was_alone=True)
        assert attempts.are_spent == (num_alone == MAX_LONE_LOSSES)


def candidate(num_tokens: int = 10, model: str = "a", *, is_suspect: bool = False) -> Candidate:
    """One that waits."""
    return Candidate(model, num_tokens, is_suspect)


def chosen(
    *candidates: Candidate, room: int = 25, is_idle: bool = True, most: int = 9
) -> list[int]:
    """What is taken of these."""
    return choose_slice(candidates, room, is_idle=is_idle, max_requests=most)


def test_a_slice_fills_the_room() -> None:
    """The last goes beyond it rather than leave some of it empty."""
    assert chosen(*[candidate()] * 6) == [0, 1, 2]


def test_a_slice_has_an_end() -> None:
    """However small its requests."""
    assert chosen(*[candidate(1)] * 20) == list(range(9))


def test_a_request_above_the_room_is_taken_all_the_same() -> None:
    """By itself: it would wait for ever."""
    assert chosen(candidate(1000), candidate()) == [0]


def test_a_slice_is_of_one_model() -> None:
    """That of the oldest; others keep their place."""
    assert chosen(candidate(model="b"), candidate(), candidate(model="b")) == [0, 2]


def test_a_suspect_runs_alone() -> None:
    """And only once nothing else is under way, so that the server's end would tell something."""
    suspect = candidate(is_suspect=True)
    assert chosen(suspect, candidate()) == [0]
    assert chosen(suspect, candidate(), is_idle=False) == []


def test_suspects_further_down_are_passed_by() -> None:
    """They come to the head."""
    assert chosen(candidate(), candidate(is_suspect=True), candidate()) == [0, 2]


@given(CANDIDATES, st.integers(-50, 2000), st.booleans(), st.integers(1, 10))
def test_a_slice_is_fit_to_run(
    candidates: list[Candidate], room: int, is_idle: bool, most: int
) -> None:
    """In order, none twice, one model, suspects alone, and never nothing without a reason."""
    taken = choose_slice(candidates, room, is_idle=is_idle, max_requests=most)
    assert taken == sorted(set(taken))
    assert len(taken) <= most
    assert len({candidates[i].model for i in taken}) <= 1
    if any(candidates[i].is_suspect for i in taken):
        assert taken == [0]
    may_take = bool(candidates) and (is_idle or not candidates[0].is_suspect)
    assert bool(taken) == may_take
    assert sum(candidates[i].num_tokens for i in taken[:-1]) < max(1, room)


def test_the_target_grows_with_the_lanes() -> None:
    """Each lane has several microbatches ahead."""
    assert target_tokens(8, 256) == 4 * target_tokens(2, 256) >= 8 * 256 * 2


def test_an_outage_is_asked_after_less_and_less_often() -> None:
    """But never less often than every quarter of a minute."""
    pauses = [outage_pause_s(n) for n in range(100)]
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (0.25, 15.0)


@pytest.mark.parametrize(
    ("surplus", "rate", "wait_s"),
    [(100, 0.0, 60), (1, 50.0, 10), (5000, 50.0, 100), (10**9, 1, 3600)],
)
def test_a_full_queue_says_when_to_come_again(surplus: int, rate: float, wait_s: float) -> None:
    """By its rate of late, within reason."""
    assert retry_after_s(surplus, rate) == wait_s


@pytest.mark.parametrize(
    ("finished", "rate"),
    [
        ([], 0.0),
        ([(100, 0.0, 2.0), (100, 500.0, 502.0)], 50.0),
        ([(100, 1.0, 3.0), (100, 0.0, 4.0), (100, 2.0, 6.0)], 50.0),
        ([(1, 5.0, 5.0)], 100.0),
    ],
)
def test_the_rate_leaves_idle_time_out(
    finished: list[tuple[int, float, float]], rate: float
) -> None:
    """And counts time in which several jobs were under way once."""
    assert texts_per_s(finished) == rate
