from __future__ import annotations

import pytest
from support.clocks import Clock

from satsuma.activity import WINDOW_S, Activity
from satsuma.errors import EngineError, OverloadedError


@pytest.fixture
def clock() -> Clock:
    """Give the clock of `activity`: some time after the machine's start."""
    return Clock(1000.5)


@pytest.fixture
def activity(clock: Clock) -> Activity:
    """Nothing has happened yet."""
    return Activity(clock)


def test_nothing_is_zeros(activity: Activity) -> None:
    """And no latency, rather than one of 0."""
    report = activity.report()
    assert (report.answered, report.refused, report.failed) == (0, 0, 0)
    assert report.tokens_by_second == (0,) * WINDOW_S
    assert report.latency is report.queue is None


def test_tokens_are_counted_by_the_second(activity: Activity, clock: Clock) -> None:
    """The second that runs is not whole yet, so it is not shown."""
    activity.note_answer(5, 0.1, 0.0)
    activity.note_answer(7, 0.1, 0.0)
    assert sum(activity.report().tokens_by_second) == 0
    clock.now_s += 2
    activity.note_answer(1, 0.1, 0.0)
    assert activity.report().tokens_by_second[-3:] == (0, 12, 0)


def test_a_minute_is_forgotten(activity: Activity, clock: Clock) -> None:
    """Counts and latencies alike."""
    activity.note_answer(5, 0.1, 0.0)
    activity.note_failure(EngineError("x"))
    clock.now_s += WINDOW_S + 1
    report = activity.report()
    assert (report.answered, report.failed, report.latency) == (0, 0, None)
    assert sum(report.tokens_by_second) == 0


def test_failures_are_told_apart(activity: Activity) -> None:
    """No room is one thing, a fault another."""
    activity.note_failure(OverloadedError("full", retry_after_s=1))
    activity.note_failure(EngineError("x"))
    activity.note_failure(EngineError("y"))
    report = activity.report()
    assert (report.answered, report.refused, report.failed) == (0, 1, 2)


def test_percentiles_are_those_of_the_latencies(activity: Activity) -> None:
    """In seconds, waiting apart."""
    for i in range(101):
        activity.note_answer(1, i / 100, i / 1000)
    report = activity.report()
    assert report.latency is not None
    assert report.queue is not None
    assert report.latency.p50_s == pytest.approx(0.50)
    assert report.latency.p95_s == pytest.approx(0.95)
    assert report.queue.p99_s == pytest.approx(0.099)


def test_memory_is_bounded(activity: Activity, clock: Clock) -> None:
    """However long and however busy."""
    for _ in range(20_000):
        activity.note_answer(1, 0.1, 0.0)
        clock.now_s += 0.5
    assert len(activity._seconds) <= WINDOW_S + 1
    assert len(activity._durations) <= 1024
