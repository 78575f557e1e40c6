"""The queue's database: what it may be, and what happens while it is away."""

from __future__ import annotations

import sqlite3
import stat
import sys
import traceback
from pathlib import Path

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError
from support.jobs import LIMITS, Keeper, done, take
from support.postgres import Cluster

from satsuma.errors import ConfigurationError, QueueUnavailableError
from satsuma.jobs import database as database_module
from satsuma.jobs.addresses import SQLITE_FILE
from satsuma.jobs.database import Database
from satsuma.jobs.states import JobStatus


class FailingWork:
    """A transaction that meets another's lock so often."""

    def __init__(self, num_failures: int) -> None:
        """Fail so often, then succeed."""
        self._num_failures = num_failures
        self.num_tries = 0

    def __call__(self, _connection: Connection, _now_s: float) -> None:
        """Try."""
        self.num_tries += 1
        if self.num_tries <= self._num_failures:
            raise OperationalError("", {}, sqlite3.OperationalError("database is locked"))


def test_is_a_file_of_its_owner_by_default(tmp_path: Path) -> None:
    """It holds people's texts, so nobody else reads it; nor what SQLite puts beside it."""
    folder = tmp_path / "new"
    keeper = Keeper(Database("", folder), LIMITS)
    keeper.put("a")
    found = sorted(folder.iterdir())
    assert found[0].name == SQLITE_FILE
    assert {stat.S_IMODE(one.stat().st_mode) for one in found} == {0o600}
    keeper.database.close()


def test_an_accepted_job_is_on_disk(lite: Keeper, tmp_path: Path) -> None:
    """A commit waits for the disk: write-ahead log, fully synchronous."""
    pragmas = lite.database.read(
        lambda connection, _: [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous")
        ]
    )
    assert pragmas == ["wal", 2]
    job = lite.put("a")
    beside = sqlite3.connect(tmp_path / SQLITE_FILE)
    assert beside.execute("SELECT request_id FROM satsuma_jobs").fetchall() == [(job.request_id,)]
    beside.close()


def test_postgres_answers_after_its_disk(postgres: Cluster, tmp_path: Path) -> None:
    """Also where its sessions are told not to wait for it."""
    database = Database(postgres.url(synchronous_commit="off"), tmp_path)
    shown = database.read(
        lambda connection, _: connection.exec_driver_sql("SHOW synchronous_commit").scalar_one()
    )
    assert shown == "local"
    database.close()


@pytest.mark.parametrize(
    "url",
    [
        "mysql://a/b",
        "nonsense",
        "sqlite://",
        "sqlite:///:memory:",
        "postgres",
        "http://secret@x/y",
        "host=h password=secret",
        "postgresql://u:p@secret@127.0.0.1:1/db",
        "postgresql://u:p@secret/word@h/db",
        "postgresql://u:p@h:secret/db",
        "postgresql://u:p@h/db?secret",
    ],
)
def test_another_kind_is_refused(url: str, tmp_path: Path) -> None:
    """In words that do not repeat it: it may hold a password."""
    with pytest.raises(ConfigurationError, match="queue_url must be") as refused:
        Database(url, tmp_path)
    assert "secret" not in "".join(traceback.format_exception(refused.value))


def test_a_missing_driver_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL's is an extra."""
    for name in [one for one in sys.modules if one.partition(".")[0] == "psycopg"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'satsuma\[postgres\]'"):
        Database("postgresql://a@b/c", tmp_path)


def test_a_password_is_not_shown(tmp_path: Path) -> None:
    """Not in the name that logs and errors use."""
    pytest.importorskip("psycopg")
    assert "secret" not in Database("postgresql://me:secret@b/c", tmp_path)._name
    assert "secret" not in Database("postgresql://b/c?password=secret", tmp_path)._name


@pytest.mark.parametrize(
    "url", ["postgresql://no.such.invalid:no.such@h.no.such.invalid", "postgresql://h?password=h"]
)
def test_a_driver_that_names_a_password_is_not_quoted(url: str, tmp_path: Path) -> None:
    """As it would where the host has it in its name too."""
    pytest.importorskip("psycopg")
    keeper = Keeper(Database(url, tmp_path), LIMITS)
    with pytest.raises(QueueUnavailableError, match="cannot be told without its password"):
        keeper.put("a")


def test_a_statement_s_parameters_are_not_shown(lite: Keeper) -> None:
    """They are people's texts, and an error that nobody expects is logged."""
    with pytest.raises(OperationalError) as failed:
        lite.database._engine.connect().exec_driver_sql("SELECT nonsense, ?", ("a text",))
    assert "a text" not in str(failed.value)


def test_a_database_that_is_away_is_told(tmp_path: Path) -> None:
    """A server may start before it."""
    pytest.importorskip("psycopg")
    keeper = Keeper(Database(f"postgresql://a@/b?host={tmp_path}", tmp_path), LIMITS)
    with pytest.raises(QueueUnavailableError):
        keeper.put("a")


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """As any database that does not answer."""
    (tmp_path / "file").write_text("")
    with pytest.raises(QueueUnavailableError):
        Keeper(Database("", tmp_path / "file"), LIMITS).put("a")


def test_a_writer_that_never_ends_is_told(
    lite: Keeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After some patience; when it is gone, all is as before."""
    lite.put("a")
    lite.database.close()
    monkeypatch.setattr(database_module, "_PATIENCE_S", 0.2)
    database = Database("", tmp_path)
    keeper = Keeper(database, LIMITS)
    keeper.upkeep.jobs()
    blocker = sqlite3.connect(tmp_path / SQLITE_FILE, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    with pytest.raises(QueueUnavailableError, match="database is locked"):
        keeper.put("b")
    assert len(keeper.upkeep.jobs()) == 1
    blocker.execute("ROLLBACK")
    blocker.close()
    keeper.put("b")
    database.close()


@pytest.mark.parametrize(("num_failures", "num_tries"), [(0, 1), (3, 4)])
def test_a_passing_failure_is_tried_again(
    lite: Keeper, num_failures: int, num_tries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three times; who asked does not notice."""
    monkeypatch.setattr(database_module, "_RETRY_S", 0.0)
    failing = FailingWork(num_failures)
    lite.database.write(failing)
    assert failing.num_tries == num_tries


def test_a_failure_that_does_not_pass_is_told(
    lite: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the database's words, after the fourth try."""
    monkeypatch.setattr(database_module, "_RETRY_S", 0.0)
    failing = FailingWork(4)
    with pytest.raises(QueueUnavailableError, match="database is locked"):
        lite.database.write(failing)
    assert failing.num_tries == 4


def test_another_layout_is_refused(lite: Keeper) -> None:
    """A queue of another version is not written to."""
    lite.upkeep.jobs()
    lite.database.write(
        lambda connection, _: connection.exec_driver_sql("UPDATE satsuma_job_layout SET layout=99")
    )
    lite.database._is_laid_out = False
    with pytest.raises(ConfigurationError, match="has layout 99"):
        lite.upkeep.jobs()


def test_a_restarted_postgres_is_found_again(postgres: Cluster, tmp_path: Path) -> None:
    """After a crash of it: what was accepted is there, what was held is still held."""
    database = Database(postgres.new_queue(), tmp_path)
    keeper = Keeper(database, LIMITS)
    job, server = keeper.put("a", "b"), keeper.server()
    claimed = take(server)
    postgres.crash()
    with pytest.raises(QueueUnavailableError):
        keeper.put("c")
    postgres.start()
    assert len(server.finish([done(one) for one in claimed])) == 2
    assert keeper.look(job).status is JobStatus.DONE
    database.close()


def test_claims_find_their_index(lite: Keeper) -> None:
    """What waits is found in order without a look at what is done."""
    lite.store.find("me", "x", "0" * 36)
    query = (
        "EXPLAIN QUERY PLAN SELECT position FROM satsuma_job_requests WHERE state = 'waiting' "
        "AND ready_at_s <= 1 ORDER BY created_at_s, request_id, position LIMIT 9"
    )
    plan = lite.database.read(lambda connection, _: connection.exec_driver_sql(query).all())
    assert [row[-1] for row in plan] == [
        "SCAN satsuma_job_requests USING INDEX satsuma_job_requests_waiting"
    ]
