"""The queue's composition root: Settings -> database -> store -> queue, and a worker."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from satsuma.engine.load import plan_lanes
from satsuma.jobs.queue import JobQueue
from satsuma.jobs.records import QueueLimits
from satsuma.jobs.states import JobStatus, target_tokens
from satsuma.jobs.worker import Embed, NoteUsage, Worker, WorkerOptions
from satsuma.scheduler.pace import background_pace, choose_pace
from satsuma.settings import Settings

if TYPE_CHECKING:  # the database's library takes half as long to import as all the rest
    from satsuma.jobs.claims import Claims
    from satsuma.jobs.database import Database
    from satsuma.jobs.store import JobStore
    from satsuma.jobs.upkeep import Upkeep


@dataclass(frozen=True, slots=True)
class _Opened:
    """What there is of a queue once its database's library is loaded."""

    database: Database
    store: JobStore
    upkeep: Upkeep


class Jobs:
    """A server's queue, and its worker where this server has one.

    The database is opened on first use, in whichever thread that is.
    """

    def __init__(
        self,
        settings: Settings,
        embed: Embed,
        is_stuck: Callable[[], bool],
        note_usage: NoteUsage,
    ) -> None:
        """See `open_jobs`."""
        self._settings = settings
        self._lock = threading.Lock()
        self._opened: _Opened | None = None
        self.queue = JobQueue(lambda: self._open().store, queue_limits(settings))
        self.worker: Worker | None = None
        if not settings.no_queue_worker:
            self.worker = Worker(
                self._make_claims, self._sweep, embed, is_stuck, _worker_options(settings)
            )
            self.worker.note_usage = note_usage
            self.queue.on_arrival = self.worker.notice

    @property
    def database(self) -> Database:
        """The queue's database."""
        return self._open().database

    def open(self) -> None:
        """Open the database now. Blocks while its library is loaded.

        Raises:
            ConfigurationError: if `queue_url` cannot be used.
        """
        self._open()

    def count(self) -> dict[str, int]:
        """Count the jobs by status; none before the database is open. Blocks.

        Raises:
            QueueUnavailableError: if the database does not answer.
        """
        return self._opened.store.count() if self._opened else {one.value: 0 for one in JobStatus}

    def close(self) -> None:
        """Let go of the database's connections."""
        if self._opened is not None:
            self._opened.database.close()

    def _open(self) -> _Opened:
        with self._lock:
            if self._opened is None:
                self._opened = _open_database(self._settings)
            return self._opened

    def _make_claims(self) -> Claims:
        from satsuma.jobs.claims import Claims  # noqa: PLC0415 - slow, see above

        settings = self._settings
        return Claims(
            self.database, lease_s=settings.queue_lease_s, results_s=settings.queue_results_s
        )

    def _sweep(self) -> int:
        return self._open().upkeep.sweep()


def open_jobs(
    settings: Settings,
    embed: Embed,
    is_stuck: Callable[[], bool],
    note_usage: NoteUsage = lambda *_: None,
) -> Jobs:
    """Open the queue for a server; nothing connects before it is used.

    Args:
        settings: where the queue is, how much it takes, and whether to work on it.
        embed: answers a request.
        is_stuck: whether the engine hangs.
        note_usage: hears once of each answer that is kept: account, model, texts, tokens.

    Raises:
        ConfigurationError: if `queue_url` cannot be used.
    """
    jobs = Jobs(settings, embed, is_stuck, note_usage)
    if settings.queue_url:  # a mistake in it is told at the start
        jobs.open()
    return jobs


@contextmanager
def open_upkeep(settings: Settings) -> Iterator[Upkeep]:
    """Open the queue for an operator, for as long as the block lasts.

    Raises:
        ConfigurationError: if `queue_url` cannot be used.
    """
    opened = _open_database(settings)
    try:
        yield opened.upkeep
    finally:
        opened.database.close()


def _open_database(settings: Settings) -> _Opened:
    from satsuma.jobs.database import Database  # noqa: PLC0415 - slow, see above
    from satsuma.jobs.store import JobStore  # noqa: PLC0415
    from satsuma.jobs.upkeep import Upkeep  # noqa: PLC0415

    database = Database(settings.queue_url, settings.data_dir)
    store = JobStore(database, queue_limits(settings))
    return _Opened(database, store, Upkeep(database, settings.queue_results_s))


def _worker_options(settings: Settings) -> WorkerOptions:
    plan = plan_lanes(settings)
    pace = background_pace(choose_pace(plan.token_budget, is_on_cards=plan.is_on_cards))
    return WorkerOptions(
        target_tokens=target_tokens(plan.num_lanes, pace.budget),
        lease_s=settings.queue_lease_s,
    )


def queue_limits(settings: Settings) -> QueueLimits:
    """Read the limits from the settings."""
    return QueueLimits(
        max_requests=settings.queue_max_requests,
        max_texts=settings.queue_max_texts,
        max_waiting_texts=settings.queue_max_waiting_texts,
        results_s=settings.queue_results_s,
    )
