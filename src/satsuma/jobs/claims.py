"""Jobs as servers see them: requests are claimed, finished, given back, and taken from the dead.

Every server has a row that says until when it lives, and renews it. What a server runs is its own
while that row stands; once another has removed it, the server's answers count no more. So a request
is finished once, whoever else believed to hold it.

Locks are taken in one order, a server's row, requests, jobs, so that no two transactions wait for
each other. Blocks; `worker.py` is its shell on an event loop.
"""

from __future__ import annotations

import os
import socket
import uuid
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, insert, select, tuple_, update

from satsuma.errors import LeaseLostError
from satsuma.jobs.database import Database
from satsuma.jobs.job_rows import count_finished
from satsuma.jobs.records import Claimed, Done, Outcome, Place
from satsuma.jobs.rows import (
    WAITING_AGAIN,
    after_attempt,
    after_loss,
    attempts_of,
    claimed_of,
    lock_running,
    lock_waiting,
    place_of,
    row_of,
    takeable,
    update_each,
)
from satsuma.jobs.states import Candidate, RequestState, choose_slice
from satsuma.jobs.tables import IS_RUNNING, JOBS, REQUESTS, SERVERS

_AT_ONCE: Final = 200  # requests named in one statement
_PLACE: Final = tuple_(REQUESTS.c.request_id, REQUESTS.c.position)

# Servers that hold requests and have no row any more.
_UNKNOWN_SERVERS: Final = (
    select(REQUESTS.c.server)
    .distinct()
    .where(IS_RUNNING, REQUESTS.c.server.not_in(select(SERVERS.c.server)))
)


class Claims:
    """One server's hold on requests, from its first sign of life to its end.

    Thread-safe; every method blocks, and raises QueueUnavailableError.
    """

    def __init__(self, database: Database, *, lease_s: float, results_s: float) -> None:
        """Begin with no hold on anything.

        Args:
            database: the queue's.
            lease_s: how long a server that says nothing keeps its requests.
            results_s: how long answers are kept.
        """
        self._database = database
        self._lease_s = lease_s
        self._results_s = results_s
        self._server = str(uuid.uuid4())
        self._is_listed = False  # has its row been written?
        self._held: set[Place] = set()
        self._may_hold_more = False  # a claim's commit was not heard of

    def beat(self) -> None:
        """Say that this server lives, for another while; the first time makes it a server.

        Raises:
            LeaseLostError: if others took it for dead; what it held is theirs, and it is over.
        """

        def renew(connection: Connection, now_s: float) -> None:
            try:
                self._renew(connection, now_s)
            except LeaseLostError:
                if self._is_listed:
                    raise
                name = f"{socket.gethostname()}:{os.getpid()}"
                row = {"server": self._server, "alive_until_s": now_s + self._lease_s, "name": name}
                connection.execute(insert(SERVERS).values(row))

        self._database.write(renew)
        self._is_listed = True

    def is_needed(self, set_aside: Collection[str] = ()) -> bool:
        """Tell whether anything waits, which is cheaper than to claim nothing.

        Args:
            set_aside: models that this server cannot run now.
        """
        return self._database.read(
            lambda connection, now_s: (
                connection.execute(
                    select(REQUESTS.c.position).where(*takeable(now_s, set_aside)).limit(1)
                ).first()
                is not None
            )
        )

    def claim(
        self,
        room_tokens: int,
        *,
        is_idle: bool,
        max_requests: int,
        set_aside: Collection[str] = (),
    ) -> list[Claimed]:
        """Take the next requests; see `states.choose_slice`.

        Args:
            room_tokens: how much to take.
            is_idle: whether this server has nothing under way.
            max_requests: how many to take at most.
            set_aside: models that this server cannot run now.

        Raises:
            LeaseLostError: as `beat`.
        """

        def take(connection: Connection, now_s: float) -> list[Claimed]:
            self._renew(connection, now_s)
            if self._may_hold_more:
                self._give_back(connection, now_s)
            self._may_hold_more = True
            rows = lock_waiting(connection, now_s, set_aside)
            candidates = [
                Candidate(row.model, row.num_tokens, attempts_of(row).is_suspect) for row in rows
            ]
            chosen = choose_slice(
                candidates, room_tokens, is_idle=is_idle, max_requests=max_requests
            )
            return self._take(connection, now_s, [rows[i] for i in chosen])

        claimed = self._database.write(take)
        self._may_hold_more = False
        self._held.update(one.place for one in claimed)
        return claimed

    def finish(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """Keep how attempts ended. What is no longer this server's is left alone.

        Returns:
            Those that counted.
        """

        def keep(connection: Connection, now_s: float) -> list[Outcome]:
            rows_held = lock_running(connection, [self._server])
            held = {place_of(row) for row in rows_held}
            ours = [one for one in outcomes if one.claimed.place in held]
            rows = [after_attempt(one, now_s) for one in ours]
            update_each(connection, rows)
            self._count(connection, now_s, rows, ours)
            return ours

        counted = self._database.write(keep)
        self._held.difference_update(one.claimed.place for one in outcomes)
        return counted

    def recover(self) -> int:
        """Take the requests of servers that say nothing any more, for others to run.

        Returns:
            How many such requests there were.

        Raises:
            LeaseLostError: as `beat`.
        """

        def take_back(connection: Connection, now_s: float) -> int:
            self._renew(connection, now_s)  # however slow this server is, it lives
            connection.execute(delete(SERVERS).where(SERVERS.c.alive_until_s < now_s))
            dead = connection.scalars(_UNKNOWN_SERVERS).all()
            rows = []
            if dead:
                lost = lock_running(connection, dead, "inputs", "is_alone")
                rows = [after_loss(row, now_s) for row in lost]
            update_each(connection, rows)
            self._count(connection, now_s, rows)
            return len(rows)

        return self._database.write(take_back)

    def leave(self) -> None:
        """Give everything back, as if it had not been taken, and stop being a server."""

        def give_back(connection: Connection, _now_s: float) -> None:
            connection.execute(delete(SERVERS).where(SERVERS.c.server == self._server))
            ours = (REQUESTS.c.server == self._server) & IS_RUNNING
            connection.execute(update(REQUESTS).where(ours).values(**WAITING_AGAIN))

        self._database.write(give_back)

    def _renew(self, connection: Connection, now_s: float) -> None:
        """Renew this server's row; its lock keeps others from taking it for dead meanwhile."""
        mine = SERVERS.c.server == self._server
        renewal = update(SERVERS).where(mine).values(alive_until_s=now_s + self._lease_s)
        if not connection.execute(renewal).rowcount:
            raise LeaseLostError("This server was taken for dead; others do its queued work.")

    def _give_back(self, connection: Connection, now_s: float) -> None:
        """Let go of what a claim took whose commit was not heard of."""
        running = lock_running(connection, [self._server], "inputs")
        unknown = [row for row in running if place_of(row) not in self._held]
        rows = [
            row_of(place_of(r), attempts_of(r), inputs=r.inputs, ready_at_s=now_s) for r in unknown
        ]
        update_each(connection, rows)

    def _take(
        self, connection: Connection, now_s: float, rows: Sequence[Row[Any]]
    ) -> list[Claimed]:
        if not rows:
            return []
        is_alone = attempts_of(rows[0]).is_suspect
        inputs = {}
        for places in _some([place_of(row) for row in rows]):
            taken = connection.execute(
                update(REQUESTS)
                .where(_PLACE.in_(places))
                .values(state=RequestState.RUNNING.value, server=self._server, is_alone=is_alone)
                .returning(REQUESTS.c.request_id, REQUESTS.c.position, REQUESTS.c.inputs)
            )
            inputs.update({place_of(row): row.inputs for row in taken})
        of_these = JOBS.c.request_id.in_(sorted({row.request_id for row in rows}))
        begun = of_these & JOBS.c.begun_at_s.is_(None)
        connection.execute(update(JOBS).where(begun).values(begun_at_s=now_s))
        found = connection.execute(select(JOBS.c.request_id, JOBS.c.account).where(of_these))
        accounts = {row.request_id: row.account for row in found}
        return [
            claimed_of(row, accounts[row.request_id], inputs, is_alone=is_alone) for row in rows
        ]

    def _count(
        self,
        connection: Connection,
        now_s: float,
        rows: Iterable[dict[str, Any]],
        outcomes: Iterable[Outcome] = (),
    ) -> None:
        """Add what was finished to the jobs' counts, in one order for all servers."""
        counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for row in rows:
            is_failed = row["state"] == RequestState.FAILED
            if is_failed or row["state"] == RequestState.DONE:
                counts[row["at_id"]].update(num_finished=1, num_failed=int(is_failed))
        for one in outcomes:
            if isinstance(one.ending, Done):
                result = one.ending.result
                counts[one.claimed.place.request_id].update(
                    prompt_tokens=result.usage.prompt_tokens, num_truncated=result.num_truncated
                )
        for request_id in sorted(counts):
            times = (now_s, now_s + self._results_s)
            count_finished(connection, request_id, dict(counts[request_id]), times)


def _some(places: list[Place]) -> Iterable[list[Place]]:
    """Cut a list into what one statement may name."""
    return (places[start : start + _AT_ONCE] for start in range(0, len(places), _AT_ONCE))
