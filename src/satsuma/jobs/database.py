"""The queue's database: SQLite, or PostgreSQL by a URL; transactions, retries, and its clock.

What SQLite and PostgreSQL do differently is here. Blocks; knows no event loop.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, func, insert, select
from sqlalchemy.engine import URL
from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    OperationalError,
    ProgrammingError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from satsuma.errors import ConfigurationError, QueueUnavailableError
from satsuma.jobs.addresses import name_address, read_address, secrets_of
from satsuma.jobs.tables import LAYOUT, LAYOUTS, METADATA, PARTIAL_INDEXES

_LOGGER = logging.getLogger(__name__)
_T = TypeVar("_T")

_CONNECTIONS: Final = 6  # of a process; more than ask at once
_PATIENCE_S: Final = 5  # for a connection, a lock, or SQLite's only writer
_STATEMENT_MS: Final = 30_000
_RETRIES: Final = 3
_RETRY_S: Final = 0.05
_LAYOUT_LOCK: Final = 0x5A7_5A7  # PostgreSQL's advisory lock: one server makes the tables
_OWNER_ONLY: Final = 0o600

# PostgreSQL's SQLSTATEs after which the same transaction may well succeed: serialisation,
# deadlock, a lock that did not come, and whatever an administrator or a crash ended.
_PASSING: Final = frozenset({"40001", "40P01", "55P03", "57P01", "57P02", "57P03"})

# Errors of ours rather than of the database.
_OURS: Final = (IntegrityError, ProgrammingError, DataError)

_Work = Callable[[Connection, float], _T]


class Database:
    """Runs transactions. Thread-safe; its methods block."""

    def __init__(self, url: str, data_dir: Path) -> None:
        """Prepare, without connecting: a server starts while its database is away.

        Args:
            url: `postgresql://...` or `sqlite:///...`; empty stands for SQLite in `data_dir`.
            data_dir: folder of the default database.

        Raises:
            ConfigurationError: if the URL cannot be used, or its driver is not installed.
        """
        parsed = read_address(url, data_dir)
        self._is_sqlite = parsed.get_backend_name() == "sqlite"
        self._file = Path(parsed.database or "") if self._is_sqlite else None
        self._name = name_address(parsed)
        self._secrets = tuple(secrets_of(parsed))
        self._engine = _make_engine(parsed)
        self._writer = threading.Lock() if self._is_sqlite else nullcontext()
        self._layout_lock = threading.Lock()
        self._is_laid_out = False

    def read(self, work: _Work[_T]) -> _T:
        """Run a transaction that changes nothing.

        Args:
            work: gets the connection, and the time.

        Raises:
            QueueUnavailableError: if the database does not answer.
        """
        return self._retry(lambda: self._run(work, is_writing=False))

    def write(self, work: _Work[_T]) -> _T:
        """Run a transaction that is on disk when this returns.

        Args:
            work: gets the connection, and the time. May run several times: a connection that is
                lost at the commit does not say whether it was made.

        Raises:
            QueueUnavailableError: if the database does not answer.
        """
        return self._retry(lambda: self._run(work, is_writing=True))

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def _retry(self, transaction: Callable[[], _T]) -> _T:
        gives_up_at_s = time.monotonic() + _PATIENCE_S
        num_failures = 0
        while True:
            try:
                self._lay_out()
                return transaction()
            except _OURS:
                raise
            except (SQLAlchemyError, OSError) as error:
                is_over = num_failures == _RETRIES or time.monotonic() > gives_up_at_s
                if is_over or not _is_passing(error):
                    raise self._unavailable(error) from error
            time.sleep(_RETRY_S * 2**num_failures)
            num_failures += 1

    def _unavailable(self, error: Exception) -> QueueUnavailableError:
        """Say what is wrong in the driver's words, unless a password is among them."""
        said = _describe(error)
        if any(secret in said for secret in self._secrets):
            said = f"{self._name} does not answer, and why cannot be told without its password"
        return QueueUnavailableError(said)

    def _run(self, work: _Work[_T], *, is_writing: bool) -> _T:
        with (
            self._writer if is_writing else nullcontext(),
            self._engine.connect().execution_options(satsuma_writing=is_writing) as connection,
            connection.begin(),
        ):
            return work(connection, self._now_s(connection))

    def _now_s(self, connection: Connection) -> float:
        """Tell the time by one clock for all servers: PostgreSQL's, or this machine's."""
        if self._is_sqlite:
            return time.time()
        clock = select(func.extract("epoch", func.clock_timestamp()))
        return float(connection.execute(clock).scalar_one())

    def _lay_out(self) -> None:
        """Make the tables, once."""
        with self._layout_lock:
            if self._is_laid_out:
                return
            if self._file is not None:
                _make_private(self._file)
            self._run(self._make_tables, is_writing=True)
            self._is_laid_out = True

    def _make_tables(self, connection: Connection, _now_s: float) -> None:
        if not self._is_sqlite:
            connection.execute(select(func.pg_advisory_xact_lock(_LAYOUT_LOCK)))
        METADATA.create_all(connection)
        for statement in PARTIAL_INDEXES:
            connection.exec_driver_sql(statement)
        found = connection.execute(select(LAYOUTS.c.layout)).scalar_one_or_none()
        if found is None:
            connection.execute(insert(LAYOUTS).values(layout=LAYOUT))
        elif found != LAYOUT:
            message = (
                f"The queue at {self._name} has layout {found}, and this satsuma knows {LAYOUT}. "
                "Let the satsuma that made it finish its work, or set another queue_url."
            )
            raise ConfigurationError(message)


def _make_engine(url: URL) -> Engine:
    options: dict[str, Any] = {"pool_size": _CONNECTIONS, "max_overflow": 0}
    options |= {"pool_timeout": _PATIENCE_S, "hide_parameters": True}  # they are people's texts
    if url.get_backend_name() == "sqlite":
        engine = create_engine(url, connect_args={"timeout": _PATIENCE_S}, **options)
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    connect = {
        "connect_timeout": _PATIENCE_S,
        "application_name": "satsuma",
        "prepare_threshold": None,  # poolers between us and the server mix prepared statements up
        "keepalives_idle": 15,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 1000 * _PATIENCE_S,
    }
    try:
        engine = create_engine(url, connect_args=connect, pool_pre_ping=True, **options)
    except ModuleNotFoundError as error:
        message = "PostgreSQL's driver is not installed. Get it: pip install 'satsuma[postgres]'"
        raise ConfigurationError(message) from error
    event.listen(engine, "connect", _set_up_postgres)
    return engine


def _set_up_sqlite(connection: Any, _record: object) -> None:
    """Let us begin transactions ourselves, and make a commit mean that it is on disk."""
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")


def _begin_sqlite(connection: Connection) -> None:
    """Take the writer's place at the start: a reader that turns writer may find it taken."""
    is_writing = connection.get_execution_options().get("satsuma_writing", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writing else "BEGIN")


def _set_up_postgres(connection: Any, _record: object) -> None:
    """Bound every wait, and never answer before the commit is on disk."""
    with _autocommitting(connection), connection.cursor() as cursor:
        cursor.execute(f"SET statement_timeout = {_STATEMENT_MS}")
        cursor.execute(f"SET idle_in_transaction_session_timeout = {_STATEMENT_MS}")
        cursor.execute(f"SET lock_timeout = {1000 * _PATIENCE_S}")
        if cursor.execute("SHOW synchronous_commit").fetchone() == ("off",):
            cursor.execute("SET synchronous_commit = local")


@contextmanager
def _autocommitting(connection: Any) -> Iterator[None]:
    connection.autocommit = True
    try:
        yield
    finally:
        connection.autocommit = False


def _make_private(file: Path) -> None:
    """Make the file, readable by its owner alone: it holds people's texts."""
    file.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(file, os.O_CREAT | os.O_RDWR, _OWNER_ONLY))


def _is_passing(error: Exception) -> bool:
    """Tell a failure that the same transaction may get around."""
    if not isinstance(error, DBAPIError):
        return False
    if error.connection_invalidated or getattr(error.orig, "sqlstate", None) in _PASSING:
        return True
    return isinstance(error, OperationalError) and "database is locked" in str(error.orig)


def _describe(error: Exception) -> str:
    """Give the driver's words, without the statement and its parameters."""
    said = str(error.orig if isinstance(error, DBAPIError) else error)
    if isinstance(error, PoolTimeoutError):
        said = "no connection was free"
    lines = said.strip().splitlines() or [type(error).__name__]
    return lines[0]
