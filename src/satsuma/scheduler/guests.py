"""Callers that run their own queries, past the queue, where nothing else runs or waits.

Ctrl-C may come between any two steps of Python in a program's main thread, so what a caller has
entered in the books is taken out by a single step of C (docs/decisions/0023-callers-run.md).

Thread-safe: shares the scheduler's lock.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from satsuma.engine.protocol import Encoder
from satsuma.scheduler.board import Board
from satsuma.scheduler.policy import EXPRESS_TOKENS, Size
from satsuma.scheduler.run import Run
from satsuma.scheduler.tickets import Item, Outcome, make_ticket
from satsuma.types import IntArray, Pooling

_LOGGER = logging.getLogger(__name__)
_LOOK_S = 1.0  # at the least: Ctrl-C may have kept a guest from telling that it has gone


class Guests:
    """Lets a caller in, one at a time, and waits for it at the end."""

    def __init__(
        self,
        board: Board,
        lock: threading.RLock,
        wake: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        """Start with nobody.

        Args:
            board: the scheduler's books.
            lock: guards them.
            wake: wakes a lane for what waits; called with the lock held.
            clock: seconds, monotonic.
        """
        self._board = board
        self._lock = lock
        self._gone = threading.Condition(lock)
        self._wake = wake
        self._clock = clock
        self._is_closed = False

    @property
    def is_here(self) -> bool:
        """Whether the calling thread runs a query: then a signal handler is asking."""
        with self._lock:
            return self._board.is_guest(threading.get_ident())

    def run(
        self,
        encoder: Encoder,
        token_ids: list[IntArray],
        pooling: Pooling,
        *,
        is_normalized: bool,
    ) -> Outcome | None:
        """Run a query in the calling thread; see `Scheduler.run_now`."""
        if self.is_here or sum(map(len, token_ids)) > EXPRESS_TOKENS:
            return None
        hidden_size, now_s = encoder.hidden_size, self._clock()
        ticket, items = make_ticket(hidden_size, token_ids, pooling, now_s, Size.QUERY)
        ticket.is_normalized = is_normalized
        guest, drop_guest = threading.get_ident(), self._board.drop_guest
        try:  # from before the run is in the books
            run = self._enter(guest, encoder, items)
            if run is None:
                return None
            vectors = run.embed()  # (B, H)
            return Outcome(vectors, 0.0, self._clock() - run.started_at_s)
        except Exception as error:  # noqa: BLE001  the usual way finds out what it is, and whose
            _LOGGER.debug("a query failed in its caller's thread: %s", error)
            return None
        finally:
            drop_guest(guest, None)  # first of all: whatever else may be cut off by Ctrl-C
            self._note_departure()

    def close(self, timeout_s: float) -> bool:
        """Let nobody in any more, and wait for whoever is.

        Not for the calling thread's own query, which a signal handler may have interrupted.

        Args:
            timeout_s: how long to wait; may be infinite.

        Returns:
            Whether they have all gone.
        """
        mine, ends_at_s = threading.get_ident(), time.monotonic() + timeout_s
        with self._lock:
            self._is_closed = True
            while self._board.has_guest_beside(mine):
                left_s = ends_at_s - time.monotonic()
                if left_s <= 0:
                    return False
                self._gone.wait(min(left_s, _LOOK_S))
        return True

    def _enter(self, guest: int, encoder: Encoder, items: list[Item]) -> Run | None:
        """Enter a run in the books, unless something runs or waits."""
        with self._lock:
            if self._is_closed or not self._board.is_idle:
                return None
            return self._board.enter(guest, encoder, items)

    def _note_departure(self) -> None:
        """Wake who waits for a guest's end; where Ctrl-C comes first, the watch does."""
        with self._lock:
            self._wake()
            self._gone.notify_all()
