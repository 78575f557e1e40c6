"""A request's row: which are read and locked, and what an attempt writes.

Knows transactions and states; who holds what, and why, is in `claims.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final

import numpy as np
from sqlalchemy import ColumnElement, Connection, Row, bindparam, select, update

from satsuma.errors import AttemptsSpentError
from satsuma.jobs.inputs import keep_shown, read_shown
from satsuma.jobs.records import (
    Answered,
    Claimed,
    Done,
    Ending,
    Erred,
    Job,
    NewRequest,
    Outcome,
    Place,
    Reason,
    Refused,
)
from satsuma.jobs.states import Attempts, RequestState
from satsuma.jobs.tables import IS_RUNNING, IS_WAITING, ORDER, REQUESTS
from satsuma.types import FloatArray

_LOOKED_AT: Final = 512  # waiting requests that a slice is chosen from
_MAX_REASON: Final = 2000  # characters
_FLOAT: Final = np.dtype("<f4")
_ATTEMPTS: Final = ("num_errors", "num_losses", "num_lone_losses")
_AT_PLACE: Final = (REQUESTS.c.request_id == bindparam("at_id")) & (
    REQUESTS.c.position == bindparam("at_position")
)

WAITING_AGAIN: Final = {"state": RequestState.WAITING.value, "server": None, "is_alone": False}

# What a request's row says after an attempt; each ending changes some of it.
_UPDATED: Final = (
    "state",
    "server",
    "is_alone",
    "ready_at_s",
    "inputs",
    "num_errors",
    "num_losses",
    "num_lone_losses",
    "vectors",
    "pooling",
    "precision",
    "error_code",
    "reason",
)


def place_of(row: Row[Any]) -> Place:
    """Read which request it is."""
    return Place(row.request_id, row.position)


def takeable(now_s: float, set_aside: Collection[str]) -> list[ColumnElement[bool]]:
    """Say which requests may be claimed."""
    conditions = [IS_WAITING, REQUESTS.c.ready_at_s <= now_s]
    return [*conditions, REQUESTS.c.model.not_in(sorted(set_aside))] if set_aside else conditions


def lock_waiting(
    connection: Connection, now_s: float, set_aside: Collection[str]
) -> list[Row[Any]]:
    """Lock the oldest waiting requests that nobody else is about to take."""
    names = ("request_id", "position", "model", "num_tokens", *_ATTEMPTS)
    query = (
        select(*(REQUESTS.c[name] for name in names))
        .where(*takeable(now_s, set_aside))
        .order_by(*ORDER)
        .limit(_LOOKED_AT)
        .with_for_update(skip_locked=True)
    )
    return list(connection.execute(query).all())


def lock_running(connection: Connection, servers: Sequence[str], *more: str) -> list[Row[Any]]:
    """Lock what servers run, and read it: place, attempts, and more columns."""
    names = ("request_id", "position", *_ATTEMPTS, *more)
    query = (
        select(*(REQUESTS.c[name] for name in names))
        .where(IS_RUNNING, REQUESTS.c.server.in_(servers))
        .order_by(*ORDER)
        .with_for_update()
    )
    return list(connection.execute(query).all())


def attempts_of(row: Row[Any]) -> Attempts:
    """Read what it has been through."""
    return Attempts(row.num_errors, row.num_losses, row.num_lone_losses)


def claimed_of(
    row: Row[Any], account: str, inputs: dict[Place, bytes], *, is_alone: bool
) -> Claimed:
    """Read a request that was just taken; its inputs came back by its place."""
    place = place_of(row)
    return Claimed(
        place=place,
        account=account,
        model=row.model,
        inputs=bytes(inputs[place]),
        num_tokens=row.num_tokens,
        attempts=attempts_of(row),
        is_alone=is_alone,
    )


def after_attempt(outcome: Outcome, now_s: float) -> dict[str, Any]:
    """Write a request's row after an attempt."""
    claimed, ending = outcome.claimed, outcome.ending
    attempts = claimed.attempts
    if isinstance(ending, Erred):
        attempts = attempts.after_error()
        spent = f"the engine failed on it {attempts.num_errors} times: {ending.reason}"
        return _tried(claimed.place, attempts, now_s, claimed.inputs, spent)
    finished = _finished(ending, claimed.inputs)
    if finished is None:
        return row_of(claimed.place, attempts, inputs=claimed.inputs, ready_at_s=now_s)
    return row_of(claimed.place, attempts, ready_at_s=now_s, **finished)


def after_loss(row: Row[Any], now_s: float) -> dict[str, Any]:
    """Write a request's row after its server vanished."""
    attempts = attempts_of(row).after_loss(was_alone=row.is_alone)
    spent = f"the server ended {attempts.num_lone_losses} times while it ran this input alone"
    return _tried(place_of(row), attempts, now_s, row.inputs, spent)


def _tried(
    place: Place, attempts: Attempts, now_s: float, inputs: bytes, spent: str
) -> dict[str, Any]:
    """Let a request be tried again, or give it up."""
    if not attempts.are_spent:
        return row_of(place, attempts, inputs=inputs, ready_at_s=now_s + attempts.pause_s)
    reason = Reason(AttemptsSpentError.code, spent)
    return row_of(place, attempts, ready_at_s=now_s, **_failed(reason))


def _finished(ending: Ending, inputs: bytes) -> dict[str, Any] | None:
    """Give the columns of a finished request, whose texts go; None if it is not."""
    if isinstance(ending, Refused):
        return _failed(ending.reason)
    if not isinstance(ending, Done):
        return None
    result = ending.result
    return {
        "state": RequestState.DONE.value,
        "inputs": keep_shown(inputs),
        "vectors": _to_bytes(result.vectors),
        "pooling": result.pooling.value,
        "precision": result.precision.value,
    }


def _failed(reason: Reason) -> dict[str, Any]:
    # PostgreSQL keeps neither NUL nor half a character.
    said = reason.message.replace("\0", "").encode(errors="replace").decode()[:_MAX_REASON]
    return {"state": RequestState.FAILED.value, "error_code": reason.code, "reason": said}


def row_of(place: Place, attempts: Attempts, **columns: Any) -> dict[str, Any]:
    """Put a row together; a request waits again and is nobody's, unless the columns say more."""
    counts = {name: getattr(attempts, name) for name in _ATTEMPTS}
    empty = dict.fromkeys(_UPDATED)
    at = {"at_id": place.request_id, "at_position": place.position}
    return {**empty, **WAITING_AGAIN, **counts, **columns, **at}


def update_each(connection: Connection, rows: list[dict[str, Any]]) -> None:
    """Write rows, each at its place."""
    if rows:
        values: dict[str, Any] = {name: bindparam(name) for name in _UPDATED}
        connection.execute(update(REQUESTS).where(_AT_PLACE).values(**values), rows)


ANSWER_COLUMNS: Final = (
    "position",
    "inputs",
    "external_reference",
    "num_texts",
    "vectors",
    "pooling",
    "precision",
    "error_code",
    "reason",
)


def _to_bytes(vectors: FloatArray) -> bytes:
    """Write (B, H) float32 as they are stored."""
    return np.ascontiguousarray(vectors, dtype=_FLOAT).tobytes()


def _from_bytes(stored: bytes, num_texts: int) -> FloatArray:
    """Read (B, H) float32."""
    return np.frombuffer(stored, dtype=_FLOAT).reshape(num_texts, -1).astype(np.float32, copy=False)


def answer_of(row: Row[Any]) -> Answered:
    """Read a finished request."""
    stored = row.vectors
    return Answered(
        position=row.position,
        external_reference=bytes(row.external_reference),
        vectors=None if stored is None else _from_bytes(stored, row.num_texts),
        pooling=row.pooling or "",
        precision=row.precision or "",
        reason=None if row.error_code is None else Reason(row.error_code, row.reason),
        shown=read_shown(row.inputs),
    )


def new_rows(job: Job, requests: Sequence[NewRequest]) -> list[dict[str, Any]]:
    """Write a new job's requests."""
    return [
        {
            "request_id": job.request_id,
            "position": position,
            "model": job.model,
            "created_at_s": job.created_at_s,
            "ready_at_s": job.created_at_s,
            "state": RequestState.WAITING.value,
            "inputs": one.inputs,
            "external_reference": one.external_reference,
            "num_texts": one.num_texts,
            "num_tokens": one.num_tokens,
        }
        for position, one in enumerate(requests)
    ]
