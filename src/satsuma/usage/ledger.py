"""What each account asked for, by model and day: kept in SQLite, a few seconds behind.

Counts gather in memory and are written together. A server that is killed loses those of its last
seconds, and several servers may share one file.
"""

from __future__ import annotations

import datetime as dt
import sqlite3
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from satsuma.errors import ConfigurationError

USAGE_FILE: Final = "usage.db"
_PATIENCE_S: Final = 10.0
_OWNER_ONLY: Final = 0o600
_DAY_S: Final = 86_400
_Key: TypeAlias = tuple[int, str, str]  # day since 1970-01-01 in UTC, account, model
_Counts: TypeAlias = defaultdict[_Key, list[int]]  # requests, texts, tokens
_SCHEMA: Final = """
create table if not exists usage (
    day text not null, account text not null, model text not null,
    requests integer not null, texts integer not null, tokens integer not null,
    primary key (day, account, model)
) without rowid
"""
_ADD: Final = """
insert into usage values (?, ?, ?, ?, ?, ?)
on conflict do update set
    requests = requests + excluded.requests,
    texts = texts + excluded.texts,
    tokens = tokens + excluded.tokens
"""


@dataclass(frozen=True, slots=True)
class Used:
    """What an account asked of a model in a day, in UTC as the real service counts.

    Attributes:
        day: such as 2026-11-23.
        tokens: as in the answers' `usage`.
    """

    day: str
    account: str
    model: str
    requests: int
    texts: int
    tokens: int


class Ledger:
    """The counts of one data folder. Thread-safe."""

    def __init__(self, path: Path) -> None:
        """Keep the path; the file comes with the first counts."""
        self._path = path
        self._lock = threading.Lock()
        self._pending: _Counts = defaultdict(lambda: [0, 0, 0])

    def note(self, account: str, model: str, num_texts: int, num_tokens: int) -> None:
        """Count a request that was answered; cheap, and not yet on the disk."""
        day = int(time.time()) // _DAY_S
        with self._lock:
            counts = self._pending[day, account, model]
            counts[0] += 1
            counts[1] += num_texts
            counts[2] += num_tokens

    def write(self) -> None:
        """Put what was counted on the disk. Blocks; what cannot be written is kept for later.

        Raises:
            ConfigurationError: if the file cannot be used.
        """
        with self._lock:
            pending = {key: tuple(counts) for key, counts in self._pending.items()}
            self._pending.clear()
        if not pending:
            return
        try:
            with closing(self._connect()) as connection, connection:
                rows = [(_date(day), *whose, *counts) for (day, *whose), counts in pending.items()]
                connection.executemany(_ADD, rows)
        except (sqlite3.Error, OSError) as error:
            self._take_back(pending)
            raise self._unusable(error) from error

    def read(
        self, since: str = "", account: str | None = None, model: str | None = None
    ) -> list[Used]:
        """List what was used, oldest first.

        Args:
            since: first day.
            account: whose; None for all.
            model: of what; None for all.

        Raises:
            ConfigurationError: if the file cannot be used.
        """
        if not self._path.exists():
            return []
        conditions, values = ["day >= ?"], [since]
        for name, value in (("account", account), ("model", model)):
            if value is not None:
                conditions.append(f"{name} = ?")
                values.append(value)
        query = f"select * from usage where {' and '.join(conditions)} order by 1, 2, 3"  # noqa: S608 - names of ours
        try:
            with closing(self._connect()) as connection:
                return [Used(*row) for row in connection.execute(query, values)]
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def _take_back(self, pending: Mapping[_Key, tuple[int, ...]]) -> None:
        with self._lock:
            for key, counts in pending.items():
                self._pending[key] = [
                    count + more for count, more in zip(self._pending[key], counts, strict=True)
                ]

    def _connect(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.touch(_OWNER_ONLY)
        # SQLite's own journal: to turn on a write-ahead log fails at once while others do the same.
        connection = sqlite3.connect(self._path, timeout=_PATIENCE_S)
        connection.execute(_SCHEMA)
        return connection

    def _unusable(self, error: Exception) -> ConfigurationError:
        return ConfigurationError(f"{self._path} cannot be used: {error}")


def _date(day: int) -> str:
    """Write a day, counted from 1970-01-01, as such a date."""
    return f"{dt.datetime.fromtimestamp(day * _DAY_S, dt.UTC):%Y-%m-%d}"


def total(rows: list[Used]) -> Used:
    """Add rows up."""
    requests, texts, tokens = (
        sum(getattr(row, name) for row in rows) for name in ("requests", "texts", "tokens")
    )
    return Used("", "", "", requests, texts, tokens)
