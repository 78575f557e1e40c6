"""Servers and the requests that they hold, on SQLite and PostgreSQL."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError
from support.jobs import LEASE_S, LIMITS, MODEL, Keeper, done, ended, take, vector_of

from satsuma.errors import LeaseLostError, QueueUnavailableError
from satsuma.jobs.claims import Claims
from satsuma.jobs.records import Claimed, Erred, Reason, Refused, Released
from satsuma.jobs.states import MAX_ERRORS, JobStatus


def texts_of(claimed: list[Claimed]) -> list[int]:
    """Which requests were claimed."""
    return [one.place.position for one in claimed]


def test_the_oldest_go_first(keeper: Keeper) -> None:
    """Job after job, request after request."""
    first, second = keeper.put("a", "b"), keeper.put("c")
    places = [one.place for one in take(keeper.server())]
    assert places == [(first.request_id, 0), (first.request_id, 1), (second.request_id, 0)]


def test_a_request_is_claimed_once(keeper: Keeper) -> None:
    """Of two servers that ask one after the other, the second gets the rest."""
    keeper.put(*"abcd")
    one, two = keeper.server(), keeper.server()
    assert texts_of(take(one, 20)) == [0, 1]
    assert texts_of(take(two)) == [2, 3]
    assert take(one) == take(two) == []


def test_servers_that_ask_at_the_same_time_share(keeper: Keeper) -> None:
    """Every request goes to one of them, and is finished once, whatever the interleaving."""
    job = keeper.put(*(f"text {n}" for n in range(200)))

    def work() -> int:
        server, num_done = keeper.server(), 0
        while claimed := take(server, 70):
            num_done += len(server.finish([done(one) for one in claimed]))
        return num_done

    with ThreadPoolExecutor(4) as threads:
        counts = [one.result() for one in [threads.submit(work) for _ in range(4)]]
    assert sum(counts) == 200
    assert keeper.look(job).status is JobStatus.DONE
    expected = [[vector_of(f"text {n}")] for n in range(200)]
    np.testing.assert_allclose(np.array(keeper.vectors(job)), expected, atol=1e-6)


def test_the_last_two_servers_end_a_job_between_them(keeper: Keeper) -> None:
    """Both finish the last of its requests at the same time, and one of them ends it."""
    for _ in range(10):
        job = keeper.put("a", "b")
        servers = [keeper.server(), keeper.server()]
        held = [(server, take(server, 1)) for server in servers]
        together = threading.Barrier(2)

        def finish(server: Claims, claimed: list[Claimed], gate: threading.Barrier) -> None:
            gate.wait()
            server.finish([done(one) for one in claimed])

        threads = [
            threading.Thread(target=finish, args=(server, claimed, together))
            for server, claimed in held
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert keeper.look(job).status is JobStatus.DONE


def test_models_set_aside_are_left_to_others(keeper: Keeper) -> None:
    """And so cheaply that an idle server may ask every second."""
    keeper.put("a")
    server = keeper.server()
    aside = server.claim(100, is_idle=True, max_requests=9, set_aside=[MODEL])
    assert aside == []
    assert not server.is_needed([MODEL])
    assert server.is_needed()


def test_a_dead_servers_requests_are_taken_over(keeper: Keeper) -> None:
    """As suspects, one by one; the dead server's late answers count no more."""
    job = keeper.put("a", "b")
    dead, heir = keeper.server(), keeper.server()
    held = take(dead)
    keeper.let_die()
    heir.beat()
    assert heir.recover() == 2
    assert len(dead.finish([done(one) for one in held])) == 0
    for position in (0, 1):
        (claimed,) = take(heir)
        assert (claimed.place.position, claimed.is_alone) == (position, True)
        assert take(heir, is_idle=False) == []
        assert len(heir.finish([done(claimed)])) == 1
    job = keeper.look(job)
    assert (job.status, job.num_finished, job.num_failed) == (JobStatus.DONE, 2, 0)


def test_a_server_taken_for_dead_is_told(keeper: Keeper) -> None:
    """When it beats and when it claims; the row of another is no help to it."""
    late, heir = keeper.server(), keeper.server()
    keeper.let_die()
    heir.beat()
    heir.recover()
    with pytest.raises(LeaseLostError):
        late.beat()
    keeper.put("a")
    with pytest.raises(LeaseLostError):
        take(late)


def test_a_late_beat_in_time_keeps_everything(keeper: Keeper) -> None:
    """The lease was over, and nobody had noticed yet."""
    job = keeper.put("a")
    late, other = keeper.server(), keeper.server()
    (claimed,) = take(late)
    keeper.let_die()
    late.beat()
    other.beat()
    assert other.recover() == 0
    assert len(late.finish([done(claimed)])) == 1
    assert keeper.look(job).status is JobStatus.DONE


def test_a_slow_server_does_not_bury_itself(keeper: Keeper) -> None:
    """Its own lease was over when it looked for the dead."""
    job = keeper.put("a")
    server = keeper.server()
    (claimed,) = take(server)
    keeper.let_die()
    assert server.recover() == 0
    assert len(server.finish([done(claimed)])) == 1
    assert keeper.look(job).status is JobStatus.DONE


def test_operators_may_kill_as_often_as_they_like(keeper: Keeper) -> None:
    """A request that is lost among others any number of times is answered in the end."""
    job = keeper.put("a", "b")
    for _ in range(8):
        lost = keeper.server()
        claimed = take(lost, is_idle=False)
        assert len(claimed) == 2 or claimed == []
        keeper.let_die()
        keeper.server().recover()
    server = keeper.server()
    while claimed := take(server):
        server.finish([done(one) for one in claimed])
    job = keeper.look(job)
    assert (job.status, job.num_failed) == (JobStatus.DONE, 0)


def test_a_text_that_ends_servers_fails_alone(keeper: Keeper) -> None:
    """Lost once among others and three times alone; its company is answered."""
    job = keeper.put("deadly", "harmless")
    for _ in range(4):
        lost = keeper.server()
        assert take(lost)[0].place.position == 0
        keeper.let_die()
        keeper.server().recover()
    server = keeper.server()
    (claimed,) = take(server)
    assert claimed.place.position == 1
    server.finish([done(claimed)])
    job = keeper.look(job)
    assert (job.status, job.num_failed) == (JobStatus.DONE, 1)
    ((position, reason),) = keeper.upkeep.failures(job.request_id, 9)
    assert (position, reason.code) == (0, "attempts_spent")
    assert "the server ended 3 times while it ran this input alone" in reason.message


def test_a_request_on_which_the_engine_fails_is_given_up(keeper: Keeper) -> None:
    """After three tries, with pauses, and with the engine's reason."""
    job = keeper.put("poison", "good")
    server = keeper.server()
    for _ in range(MAX_ERRORS):
        for one in take(server):
            is_poison = one.place.position == 0
            server.finish([ended(one, Erred("not finite\0\ud800")) if is_poison else done(one)])
        assert take(server) == []
        keeper.skip_pauses()
    job = keeper.look(job)
    assert (job.status, job.num_failed) == (JobStatus.DONE, 1)
    ((position, reason),) = keeper.upkeep.failures(job.request_id, 9)
    spent = Reason("attempts_spent", "the engine failed on it 3 times: not finite?")
    assert (position, reason) == (0, spent)


def test_what_can_never_be_answered_fails_at_once(keeper: Keeper) -> None:
    """A second try would be the same."""
    job, reason = keeper.put("a"), Reason("invalid_input", "no")
    server = keeper.server()
    (claimed,) = take(server)
    server.finish([ended(claimed, Refused(reason))])
    assert keeper.upkeep.failures(job.request_id, 9) == [(0, reason)]


def test_what_is_released_waits_as_before(keeper: Keeper) -> None:
    """Nothing is held against it."""
    keeper.put("a")
    server = keeper.server()
    (first,) = take(server)
    server.finish([ended(first, Released())])
    (again,) = take(server)
    assert again == first


def test_a_server_that_leaves_gives_back(keeper: Keeper) -> None:
    """All it held, as if it had not been taken; then it is a server no more."""
    keeper.put("a", "b")
    leaver = keeper.server()
    held = take(leaver)
    leaver.leave()
    assert take(keeper.server()) == held
    with pytest.raises(LeaseLostError):
        leaver.beat()


def test_requests_of_a_server_that_is_not_listed_are_taken_over(keeper: Keeper) -> None:
    """However its row went away."""
    keeper.put("a")
    take(keeper.server())
    keeper.database.write(
        lambda connection, _: connection.exec_driver_sql("DELETE FROM satsuma_job_servers")
    )
    assert keeper.server().recover() == 1


class LostAnswers:
    """Makes the next commits succeed, and their answers get lost."""

    def __init__(self, keeper: Keeper, num_lost: int) -> None:
        """Stand behind the database."""
        self.num_lost = num_lost
        engine = keeper.database._engine
        event.listen(engine, "commit", self.commit)

    def commit(self, connection: object) -> None:
        """Commit, and say that the connection is gone."""
        if self.num_lost:
            self.num_lost -= 1
            raw = connection.connection.dbapi_connection  # type: ignore[attr-defined]
            raw.execute("COMMIT")
            raise OperationalError("COMMIT", {}, Exception("database is locked"))


def test_an_accept_whose_answer_was_lost_is_made_once(lite: Keeper) -> None:
    """The retry finds the job that is there."""
    lite.upkeep.jobs()
    LostAnswers(lite, 1)
    job = lite.put("a", "b")
    assert lite.upkeep.jobs() == [job]
    assert texts_of(take(lite.server())) == [0, 1]


def test_a_claim_whose_answer_was_lost_is_made_again(lite: Keeper) -> None:
    """Nothing stays with a server that does not know of it."""
    lite.put("a", "b")
    server = lite.server()
    LostAnswers(lite, 1)
    assert texts_of(take(server)) == [0, 1]


def test_a_claim_that_failed_for_good_is_given_back(lite: Keeper) -> None:
    """By the next one."""
    lite.put("a", "b")
    server = lite.server()
    (known,) = take(server, 1)
    lost = LostAnswers(lite, 10)
    with pytest.raises(QueueUnavailableError):
        take(server, 1)
    lost.num_lost = 0
    assert texts_of(take(server)) == [1]
    assert len(server.finish([done(known)])) == 1


def test_a_finish_whose_answer_was_lost_counts_once(lite: Keeper) -> None:
    """The job's counts are those of its requests."""
    job = lite.put("a", "b")
    server = lite.server()
    held = take(server)
    LostAnswers(lite, 1)
    server.finish([done(one) for one in held])
    job = lite.look(job)
    assert (job.num_finished, job.prompt_tokens) == (2, 8)


def test_the_lease_is_what_was_asked_for(keeper: Keeper) -> None:
    """By the database's own clock."""
    keeper.server()
    query = "SELECT alive_until_s FROM satsuma_job_servers"
    until_s, now_s = keeper.database.read(
        lambda connection, now: (connection.exec_driver_sql(query).scalar_one(), now)
    )
    assert LEASE_S - 60 < until_s - now_s <= LEASE_S
    assert LIMITS.results_s == 60.0
