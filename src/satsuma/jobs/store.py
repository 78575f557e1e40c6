"""Jobs as clients see them: put in, looked at, read.

Blocks; `queue.py` is its shell on an event loop. What servers do with a job's requests is in
`claims.py`, what operators do in `upkeep.py`.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

from sqlalchemy import Connection, case, func, insert, select

from satsuma.errors import JobTooLargeError, QueueFullError
from satsuma.jobs.database import Database
from satsuma.jobs.job_rows import finished_since, is_id, is_kept, select_job, sum_texts
from satsuma.jobs.records import Answered, Job, NewRequest, QueueLimits
from satsuma.jobs.rows import ANSWER_COLUMNS, answer_of, new_rows
from satsuma.jobs.states import JobStatus, retry_after_s, texts_per_s
from satsuma.jobs.tables import JOBS, REQUESTS

# The queue's rate is measured over what was done in this time, and over so many jobs of it.
_RATE_OVER_S: Final = 600.0
_RATE_OVER_JOBS: Final = 256


class JobStore:
    """The jobs. Thread-safe; every method blocks, and raises QueueUnavailableError."""

    def __init__(self, database: Database, limits: QueueLimits) -> None:
        """Keep jobs in this database, and so many."""
        self._database = database
        self._limits = limits

    def accept(self, account: str, model: str, requests: Sequence[NewRequest]) -> Job:
        """Put a job in; it is on disk when this returns.

        Args:
            account: whose it is.
            model: canonical id.
            requests: valid ones; none at all make a job that is done.

        Raises:
            JobTooLargeError: if one call may not have so many.
            QueueFullError: if so much may not wait.
        """
        self._check_size(requests)
        request_id = str(uuid.uuid4())

        def put(connection: Connection, now_s: float) -> Job:
            known = select_job(connection, JOBS.c.request_id == request_id)
            if known is not None:  # a commit whose answer was lost
                return known
            self._check_room(connection, now_s, sum(one.num_texts for one in requests))
            job = self._new_job(request_id, account, model, requests, now_s)
            connection.execute(insert(JOBS).values(asdict(job)))
            if requests:
                connection.execute(insert(REQUESTS), new_rows(job, requests))
            return job

        return self._database.write(put)

    def find(self, account: str, model: str, request_id: str) -> Job | None:
        """Look at an account's job of this model."""
        if not is_id(request_id):
            return None
        theirs = (JOBS.c.account == account) & (JOBS.c.model == model)
        return self._database.read(
            lambda connection, now_s: select_job(
                connection, (JOBS.c.request_id == request_id) & theirs & is_kept(now_s)
            )
        )

    def count(self) -> dict[str, int]:
        """Count the jobs that are kept, by status."""
        is_done, is_begun = JOBS.c.finished_at_s.is_not(None), JOBS.c.begun_at_s.is_not(None)
        status = case(
            (is_done, JobStatus.DONE.value),
            (is_begun, JobStatus.RUNNING.value),
            else_=JobStatus.QUEUED.value,
        )
        query = select(status, func.count()).select_from(JOBS).group_by(status)
        rows = self._database.read(lambda connection, _: connection.execute(query).all())
        counts = {row[0]: row[1] for row in rows}
        return {one.value: counts.get(one.value, 0) for one in JobStatus}

    def precisions(self, job: Job) -> tuple[str, ...]:
        """Say which arithmetic made a job's vectors; servers may differ."""
        column = REQUESTS.c.precision
        query = select(column).distinct().where(REQUESTS.c.request_id == job.request_id)
        found = self._database.read(lambda connection, _: connection.scalars(query).all())
        return tuple(sorted(one for one in found if one))

    def page(self, job: Job, start: int, num_requests: int) -> list[Answered]:
        """Read answers of a finished job, in order.

        Args:
            job: a finished one.
            start: index of the first.
            num_requests: how many.
        """
        columns = [REQUESTS.c[name] for name in ANSWER_COLUMNS]
        query = (
            select(*columns)
            .where(REQUESTS.c.request_id == job.request_id, REQUESTS.c.position >= start)
            .order_by(REQUESTS.c.position)
            .limit(num_requests)
        )
        rows = self._database.read(lambda connection, _: connection.execute(query).all())
        return [answer_of(row) for row in rows]

    def _check_size(self, requests: Sequence[NewRequest]) -> None:
        num_texts, limits = sum(one.num_texts for one in requests), self._limits
        if num_texts > limits.max_texts or len(requests) > limits.max_requests:
            raise JobTooLargeError(
                f"{len(requests)} requests with {num_texts} texts in one call; at most "
                f"{limits.max_requests} and {limits.max_texts} are taken"
            )

    def _check_room(self, connection: Connection, now_s: float, num_texts: int) -> None:
        waiting = sum_texts(connection, JOBS.c.finished_at_s.is_(None))
        surplus = waiting + num_texts - self._limits.max_waiting_texts
        if surplus > 0:
            recent = finished_since(connection, now_s - _RATE_OVER_S, _RATE_OVER_JOBS)
            raise QueueFullError(
                f"{waiting} texts wait already.",
                retry_after_s=retry_after_s(surplus, texts_per_s(recent)),
            )

    def _new_job(
        self,
        request_id: str,
        account: str,
        model: str,
        requests: Sequence[NewRequest],
        now_s: float,
    ) -> Job:
        is_done = not requests
        return Job(
            request_id=request_id,
            account=account,
            model=model,
            created_at_s=now_s,
            begun_at_s=None,
            finished_at_s=now_s if is_done else None,
            expires_at_s=now_s + self._limits.results_s if is_done else None,
            num_requests=len(requests),
            num_texts=sum(one.num_texts for one in requests),
            num_finished=0,
            num_failed=0,
            prompt_tokens=0,
            num_truncated=0,
        )
