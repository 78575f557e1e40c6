"""Jobs as clients and operators see them, on SQLite and PostgreSQL."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sqlalchemy import update
from support.jobs import LIMITS, MODEL, Keeper, done, new_request, take, vector_of

from satsuma.errors import JobTooLargeError, QueueFullError
from satsuma.jobs.records import Job, Reason
from satsuma.jobs.states import JobStatus
from satsuma.jobs.tables import JOBS


def finish(keeper: Keeper) -> None:
    """Answer everything."""
    server = keeper.server()
    while claimed := take(server):
        server.finish([done(one) for one in claimed])


def move_end(keeper: Keeper, job: Job, by_s: float) -> None:
    """Let a job have been done earlier."""
    earlier = {name: JOBS.c[name] - by_s for name in ("finished_at_s", "expires_at_s")}
    keeper.database.write(
        lambda connection, _: connection.execute(
            update(JOBS).where(JOBS.c.request_id == job.request_id).values(earlier)
        )
    )


def set_times(keeper: Keeper, job: Job, ago_s: tuple[float, float]) -> None:
    """Let a finished job have been begun and done then."""
    begun_s, finished_s = ago_s
    keeper.database.write(
        lambda connection, now_s: connection.execute(
            update(JOBS)
            .where(JOBS.c.request_id == job.request_id)
            .values(begun_at_s=now_s + begun_s, finished_at_s=now_s + finished_s)
        )
    )


def wait_for_100_texts_s(keeper: Keeper) -> float:
    """Fill the queue, and tell what one is told who wants room for so many."""
    for _ in range(5):
        keeper.put(*["a"] * 1000)
    with pytest.raises(QueueFullError) as refused:
        keeper.put(*["a"] * 100)
    return refused.value.retry_after_s


def test_a_job_is_queued_then_running_then_done(keeper: Keeper) -> None:
    """As its requests are taken and answered."""
    job = keeper.put("a", "b")
    assert job.status is JobStatus.QUEUED
    server = keeper.server()
    first, second = take(server)
    assert keeper.look(job).status is JobStatus.RUNNING
    server.finish([done(first)])
    assert keeper.look(job).status is JobStatus.RUNNING
    server.finish([done(second)])
    assert keeper.look(job).status is JobStatus.DONE


def test_answers_come_back_as_they_were(keeper: Keeper) -> None:
    """Vectors bit for bit, in the order of the requests, with the client's own names."""
    references: list[object] = ["one", None, {"deep": [1, "\0"]}]
    requests = [new_request("a", "bb", reference=one) for one in references]
    job = keeper.store.accept("me", MODEL, requests)
    finish(keeper)
    answers = keeper.answers(job)
    assert [one.position for one in answers] == [0, 1, 2]
    assert [json.loads(one.external_reference) for one in answers] == references
    expected = np.array([vector_of("a"), vector_of("bb")], np.float32)
    for one in answers:
        np.testing.assert_array_equal(one.vectors, expected)
        assert (one.pooling, one.precision, one.reason) == ("mean", "fp32", None)


def test_usage_is_counted_over_the_job(keeper: Keeper) -> None:
    """Four tokens a text in these tests."""
    job = keeper.put("a", "b", "c")
    finish(keeper)
    assert keeper.look(job).prompt_tokens == 12


def test_an_empty_job_is_done(keeper: Keeper) -> None:
    """There is nothing to wait for."""
    job = keeper.store.accept("me", MODEL, [])
    assert job.status is JobStatus.DONE
    assert keeper.answers(job) == []
    assert job.expires_at_s is not None


@pytest.mark.parametrize(
    ("account", "model"), [("you", MODEL), ("me", "@cf/baai/bge-small-en-v1.5")]
)
def test_a_job_is_its_accounts_and_models(keeper: Keeper, account: str, model: str) -> None:
    """Nobody else finds it, not by its id."""
    job = keeper.put("a")
    assert keeper.store.find("me", MODEL, job.request_id) == job
    assert keeper.store.find(account, model, job.request_id) is None


@pytest.mark.parametrize("request_id", ["", "x", "\0", "é" * 500, "'; DROP TABLE satsuma_jobs; --"])
def test_an_unknown_job_is_not_found(keeper: Keeper, request_id: str) -> None:
    """Whatever its id looks like."""
    assert keeper.store.find("me", MODEL, request_id) is None


def test_too_many_texts_are_refused(lite: Keeper) -> None:
    """Or too many requests; nothing of them is kept."""
    with pytest.raises(JobTooLargeError, match="at most 1000"):
        lite.put(*["a"] * (LIMITS.max_requests + 1))
    with pytest.raises(JobTooLargeError):
        lite.store.accept("me", MODEL, [new_request(*["a"] * 60)] * 20)
    assert lite.upkeep.jobs() == []


def test_a_full_queue_refuses(keeper: Keeper) -> None:
    """And says when to come again; what is done makes room."""
    for _ in range(5):
        keeper.put(*["a"] * 1000)
    with pytest.raises(QueueFullError) as refused:
        keeper.put("a")
    assert refused.value.retry_after_s == 60
    finish(keeper)
    keeper.put("a")


def test_idle_time_does_not_slow_the_measured_rate(keeper: Keeper) -> None:
    """A queue that did little of late, but did it fast, has room soon."""
    small = keeper.put("a")
    finish(keeper)
    set_times(keeper, small, (-300.5, -300.0))
    assert wait_for_100_texts_s(keeper) == 50


def test_only_what_was_answered_counts_for_the_rate(keeper: Keeper) -> None:
    """Jobs that were cancelled before or after they were begun are no work that was done."""
    never_begun, nothing_answered = keeper.put("a"), keeper.put(*"bcd")
    keeper.upkeep.cancel(never_begun.request_id)
    server = keeper.server()
    take(server)
    keeper.upkeep.cancel(nothing_answered.request_id)
    set_times(keeper, nothing_answered, (-400.0, -300.0))
    half_answered = keeper.put(*"efgh")
    server.finish([done(one) for one in take(server)[:2]])
    keeper.upkeep.cancel(half_answered.request_id)
    set_times(keeper, half_answered, (-301.0, -300.0))
    assert wait_for_100_texts_s(keeper) == 50


def test_jobs_are_counted_by_status(keeper: Keeper) -> None:
    """Every status has a count, for a graph without gaps."""
    assert keeper.store.count() == dict.fromkeys(JobStatus, 0)
    keeper.put("a")
    take(keeper.server())
    keeper.put("b")
    keeper.put()
    counts = {JobStatus.QUEUED: 1, JobStatus.RUNNING: 1, JobStatus.DONE: 1}
    assert keeper.store.count() == counts


def test_jobs_are_listed_oldest_first(keeper: Keeper) -> None:
    """Of one account or of all."""
    jobs = [keeper.put("a", account=account) for account in ("me", "you", "me")]
    assert keeper.upkeep.jobs() == jobs
    assert keeper.upkeep.jobs("me") == [jobs[0], jobs[2]]


def test_what_expired_is_gone(keeper: Keeper) -> None:
    """Not found from that moment on, and removed by the next sweep; the rest stays."""
    old, young, waiting = keeper.put("a"), keeper.put("b"), None
    finish(keeper)
    waiting = keeper.put("c")
    move_end(keeper, old, LIMITS.results_s + 1)
    assert keeper.store.find("me", MODEL, old.request_id) is None
    assert keeper.upkeep.sweep() == 1
    assert keeper.answers(old) == []
    assert [one.request_id for one in keeper.upkeep.jobs()] == [
        young.request_id,
        waiting.request_id,
    ]


def test_purging_removes_what_is_done(keeper: Keeper) -> None:
    """Long enough ago; what is not done stays."""
    old, young = keeper.put("a"), keeper.put("b")
    finish(keeper)
    waiting = keeper.put("c")
    move_end(keeper, old, 3600)
    assert keeper.upkeep.purge(older_than_s=1800) == 1
    assert keeper.upkeep.purge() == 1
    assert keeper.upkeep.jobs() == [waiting]
    assert keeper.upkeep.get(young.request_id) is None


def test_many_jobs_are_purged(lite: Keeper) -> None:
    """More than one transaction removes."""
    for _ in range(40):
        lite.store.accept("me", MODEL, [])
    assert lite.upkeep.purge() == 40


def test_cancelling_ends_what_is_not_answered(keeper: Keeper) -> None:
    """What is answered stays; what runs is dropped when it comes back."""
    job = keeper.put("a", "b", "c")
    server = keeper.server()
    first, second = server.claim(20, is_idle=True, max_requests=9)
    server.finish([done(first)])
    assert keeper.upkeep.cancel(job.request_id) == 2
    assert not server.finish([done(second)])
    assert take(server) == []
    job = keeper.look(job)
    assert (job.status, job.num_finished, job.num_failed) == (JobStatus.DONE, 3, 2)
    assert keeper.vectors(job)[1:] == [None, None]
    cancelled = Reason("job_cancelled", "An operator cancelled the job.")
    assert keeper.upkeep.failures(job.request_id, 9) == [(1, cancelled), (2, cancelled)]
    assert keeper.upkeep.cancel(job.request_id) == 0


def test_texts_are_not_kept_once_they_are_answered(keeper: Keeper, queue_url: str) -> None:
    """Only vectors are; the inputs' column is empty."""
    keeper.put("a secret text")
    finish(keeper)
    inputs = keeper.database.read(
        lambda connection, _: connection.exec_driver_sql(
            "SELECT inputs FROM satsuma_job_requests"
        ).all()
    )
    assert inputs == [(None,)]
    assert queue_url
