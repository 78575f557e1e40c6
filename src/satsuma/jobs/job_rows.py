"""A job's row: read, counted up, and told from those whose time is over."""

from __future__ import annotations

import re
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, case, func, select, update

from satsuma.jobs.records import Job
from satsuma.jobs.states import RequestState
from satsuma.jobs.tables import JOBS, REQUESTS

_ID: Final = re.compile(r"[0-9a-f-]{36}")

# Texts of a job that have no answer: cancelled, refused or given up.
_FAILED_TEXTS: Final = (
    select(func.sum(REQUESTS.c.num_texts))
    .where(REQUESTS.c.request_id == JOBS.c.request_id)
    .where(REQUESTS.c.state == RequestState.FAILED.value)
    .scalar_subquery()
)


def is_id(request_id: str) -> bool:
    """Tell what may be a job's id; PostgreSQL does not take every string."""
    return _ID.fullmatch(request_id) is not None


def to_job(row: Row[Any]) -> Job:
    """Read a row of all columns."""
    return Job(**row._mapping)  # noqa: SLF001 - so documented


def select_job(connection: Connection, which: ColumnElement[bool]) -> Job | None:
    """Read the one job for which this holds."""
    row = connection.execute(select(JOBS).where(which)).one_or_none()
    return None if row is None else to_job(row)


def sum_texts(connection: Connection, which: ColumnElement[bool]) -> int:
    """Add up the texts of the jobs for which this holds."""
    total = select(func.coalesce(func.sum(JOBS.c.num_texts), 0)).where(which)
    return int(connection.execute(total).scalar_one())


def finished_since(
    connection: Connection, since_s: float, num_jobs: int
) -> list[tuple[int, float, float]]:
    """Read of the last jobs that have answers: how many texts, when begun and when done."""
    answered = case(
        (JOBS.c.num_failed == 0, JOBS.c.num_texts), else_=JOBS.c.num_texts - _FAILED_TEXTS
    )
    query = (
        select(answered, JOBS.c.begun_at_s, JOBS.c.finished_at_s)
        .where(JOBS.c.finished_at_s > since_s, JOBS.c.num_failed < JOBS.c.num_requests)
        .order_by(JOBS.c.finished_at_s.desc())
        .limit(num_jobs)
    )
    return [(row[0], row[1], row[2]) for row in connection.execute(query)]


def is_kept(now_s: float) -> ColumnElement[bool]:
    """Whether a job's time is not over; an unfinished one's never is."""
    return JOBS.c.expires_at_s.is_(None) | (JOBS.c.expires_at_s > now_s)


def has_expired(now_s: float) -> ColumnElement[bool]:
    """Whether it is; an unfinished one has null there, which is not true."""
    return JOBS.c.expires_at_s <= now_s


def count_finished(
    connection: Connection, request_id: str, counts: dict[str, int], times: tuple[float, float]
) -> None:
    """Add to a job's counts; the last of its requests ends it.

    Args:
        connection: in a transaction that has finished those requests.
        request_id: the job's.
        counts: what to add to which column; `num_finished` among them.
        times: now, and when the answers go if the job is done now.
    """
    is_last = JOBS.c.num_finished + counts["num_finished"] == JOBS.c.num_requests
    now_s, expires_at_s = times
    # One statement: of two servers that end a job's last requests, the second waits here for the
    # first, and then sees its count.
    added = {name: JOBS.c[name] + count for name, count in counts.items()}
    ends = {
        "finished_at_s": case((is_last, now_s), else_=None),
        "expires_at_s": case((is_last, expires_at_s), else_=None),
    }
    connection.execute(update(JOBS).where(JOBS.c.request_id == request_id).values(**added, **ends))
