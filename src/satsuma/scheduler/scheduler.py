"""Lanes pull microbatches from the queues as they become free: the shell around `board.py`.

There is one lane, a thread, for each core. A free lane takes whatever is best at that moment, so
nothing waits for a timer, and a newcomer can still join the very next microbatch. Tokenising,
ranking and accounting happen while other microbatches run; what is left to do at the hand-over
takes tens of microseconds (docs/decisions/0005-lanes-pull.md). One thread more, the express lane,
takes queries while every core is held by longer work (docs/decisions/0010-express-lane.md). Where
nothing else is to do, a caller may run its query itself (docs/decisions/0023-callers-run.md).

Thread-safe. Knows encoders and queues; no HTTP, no models by name, no event loop.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Protocol

from satsuma.engine.protocol import Encoder
from satsuma.errors import EngineDiedError, EngineError, ShuttingDownError
from satsuma.scheduler.admission import Limits, WaitingRoom
from satsuma.scheduler.board import Board
from satsuma.scheduler.guests import Guests
from satsuma.scheduler.lanes import Lane, LaneThreads
from satsuma.scheduler.pace import Pace
from satsuma.scheduler.policy import size_of
from satsuma.scheduler.queue import EncoderQueue
from satsuma.scheduler.run import Run, deliver, fail
from satsuma.scheduler.tickets import Item, Outcome, make_ticket
from satsuma.scheduler.watch import Watch
from satsuma.types import IntArray, Pooling

_LOGGER = logging.getLogger(__name__)
_WATCH_S = 1.0  # between looks for lanes that hang
_LOOKS_A_DEADLINE = 16  # at least
_MAX_DEATHS = 2  # engine threads that one item may end before it is given up


class OnRun(Protocol):
    """Who is told of microbatches."""

    def __call__(self, num_tokens: int, engine_s: float, /, *, is_express: bool) -> None:
        """Hear of one: its tokens, how long it ran, and on which kind of lane."""


def _ignore_run(_num_tokens: int, _engine_s: float, /, *, is_express: bool) -> None:
    del is_express


class Scheduler:
    """Shares the cores among every request of every model."""

    def __init__(
        self,
        *,
        num_lanes: int,
        pace: Pace,
        limits: Limits,
        clock: Callable[[], float] = time.monotonic,
        on_run: OnRun | None = None,
    ) -> None:
        """Start the lanes.

        Args:
            num_lanes: cores to use.
            pace: what microbatches encoders want, of which nothing else is known.
            limits: how much may wait.
            clock: seconds, monotonic; tests give their own.
            on_run: told of every microbatch that succeeded, in the thread that ran it.
        """
        self._clock = clock
        self._on_run = on_run or _ignore_run
        lock = threading.RLock()
        self._lock = lock
        self._work = threading.Condition(lock)  # for the lanes
        self._express_work = threading.Condition(lock)
        self._board = Board(num_lanes=num_lanes, pace=pace, limits=limits, clock=clock)
        self._is_closed = False
        self._guests = Guests(self._board, lock, self._wake, clock)
        lanes = [Lane(number) for number in range(num_lanes)]
        express = Lane(num_lanes, is_express=True)
        self._threads = LaneThreads([*lanes, express], self._serve, self._bury)
        every_s = min(_WATCH_S, limits.deadline_s / _LOOKS_A_DEADLINE)
        self._watch = Watch(self._replace_hung, every_s)

    # --- for requests -------------------------------------------------------------------------

    def submit(  # noqa: PLR0913  what a request says of its items
        self,
        encoder: Encoder,
        token_ids: list[IntArray],
        pooling: Pooling,
        *,
        is_normalized: bool = True,
        is_background: bool = False,
        keeps_states: bool = False,
    ) -> Future[Outcome]:
        """Queue one request.

        Args:
            encoder: the model's.
            token_ids: B arrays of (T,) ids, at least one.
            pooling: the mode of all of them.
            is_normalized: whether the vectors get unit length.
            is_background: it runs when nothing else waits, however long that takes, and is never
                refused for what waits.
            keeps_states: give the items' hidden states as well.

        Returns:
            Its vectors, later; cancelling the future takes what is left of it out of the queue.

        Raises:
            OverloadedError: if it could not be done in time.
            TooMuchWorkError: if it could not even on an idle engine.
            ShuttingDownError: if the scheduler is closed.
        """
        num_tokens = sum(map(len, token_ids))
        with self._lock:
            token_budget = self._board.pace(encoder).budget
        size = size_of(num_tokens, token_budget, is_background=is_background)
        ticket, items = make_ticket(encoder.hidden_size, token_ids, pooling, self._clock(), size)
        ticket.is_normalized = is_normalized
        ticket.states = {} if keeps_states else None
        with self._lock:
            if self._is_closed:
                raise ShuttingDownError("The server is stopping.")
            if not is_background:
                self._board.admit(self._board.queue(encoder), num_tokens)
            queue = self._board.add(encoder, items, is_background=is_background)
            self._wake()
        ticket.future.add_done_callback(lambda _: self._discount(queue, items))
        return ticket.future

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs and nothing waits, at this moment."""
        with self._lock:
            return self._board.is_idle

    @property
    def is_interrupted_here(self) -> bool:
        """Whether this thread is in the middle of `run_now`: then a signal handler is asking."""
        return self._guests.is_here

    def run_now(
        self,
        encoder: Encoder,
        token_ids: list[IntArray],
        pooling: Pooling,
        *,
        is_normalized: bool = True,
    ) -> Outcome | None:
        """Run a query in the calling thread, on all cores, if nothing else runs or waits.

        Args:
            encoder: the model's; one that may run in any thread.
            token_ids: B arrays of (T,) ids, at least one.
            pooling: the mode of all of them.
            is_normalized: whether the vectors get unit length.

        Returns:
            Its vectors; None if it has to wait, is no query, or fails: `submit` it.
        """
        outcome = self._guests.run(encoder, token_ids, pooling, is_normalized=is_normalized)
        if outcome is not None:
            num_tokens = sum(map(len, token_ids))
            self._on_run(num_tokens, outcome.inference_s, is_express=False)
        return outcome

    @contextmanager
    def reserve(self, encoder: Encoder, num_tokens: int) -> Iterator[None]:
        """Keep room for a request while its texts are being tokenised.

        Args:
            encoder: the model's.
            num_tokens: about how many tokens it will have.

        Raises:
            OverloadedError: if it could not be done in time.
            TooMuchWorkError: if it could not even on an idle engine.
        """
        with self._lock:
            queue = self._board.queue(encoder)
            self._board.admit(queue, num_tokens)
            queue.reserve(num_tokens)
        try:
            yield
        finally:
            with self._lock:
                queue.release(num_tokens)

    def note_rate(self, encoder: Encoder, num_tokens: int, engine_s: float) -> None:
        """Learn an encoder's rate from a run of all cores outside the queue, as at its load."""
        with self._lock:
            self._board.queue(encoder).rate.note_run(num_tokens, engine_s)

    def note_pace(self, encoder: Encoder, pace: Pace) -> None:
        """Learn what microbatches an encoder wants, as it was measured at its load."""
        with self._lock:
            self._board.queue(encoder).rate.pace = pace

    def forget(self, encoder: Encoder) -> None:
        """Drop an encoder's queue before the encoder is closed; nothing of it may wait."""
        with self._lock:
            self._board.forget(encoder)

    def _discount(self, queue: EncoderQueue, items: list[Item]) -> None:
        """Take what is left of a finished request out of the queue."""
        with self._lock:
            queue.discount(items)
        items.clear()  # breaks the cycle future -> callback -> items -> future

    # --- for operators ------------------------------------------------------------------------

    def trouble(self, stuck_after_s: float) -> str:
        """Say what keeps the engine from answering; empty if nothing does.

        Args:
            stuck_after_s: a microbatch that has held a lane for longer counts as stuck.
        """
        if not self._threads.is_complete:
            return "an engine thread died and is being restarted"
        with self._lock:
            running_s = self._since(self._board.oldest_run_s)
        if running_s > stuck_after_s:
            return f"a microbatch has been running for {running_s:.0f} s"
        return ""

    def oldest_run_s(self) -> float:
        """Say for how long the oldest microbatch has been running, on a lane or hung; 0 if none."""
        with self._lock:
            return max(map(self._since, (self._board.oldest_run_s, self._board.oldest_hung_s)))

    def _since(self, began_at_s: float | None) -> float:
        return 0.0 if began_at_s is None else self._clock() - began_at_s

    def room(self) -> WaitingRoom:
        """Say what is admitted and not done."""
        with self._lock:
            return self._board.room()

    def close(self, timeout_s: float | None = None) -> bool:
        """Stop the lanes; what still waits gets ShuttingDownError. Blocks for running work.

        That is the lanes' and of callers that run their own queries.

        Args:
            timeout_s: how long to wait for running work; None waits as long as it takes.

        Returns:
            Whether all have ended.
        """
        with self._lock:
            self._is_closed = True
            waiting = self._board.take_all()
            self._work.notify_all()
            self._express_work.notify_all()
        self._watch.end()
        for item in waiting:
            fail(item, ShuttingDownError("The server is stopping."))
        started_at_s = time.monotonic()
        are_gone = self._guests.close(math.inf if timeout_s is None else timeout_s)
        spent_s = time.monotonic() - started_at_s
        left_s = None if timeout_s is None else max(0.0, timeout_s - spent_s)
        return self._threads.close(left_s) and are_gone

    # --- lanes --------------------------------------------------------------------------------

    def _replace_hung(self) -> None:
        """Give the lanes whose microbatches hang to new threads; the old ones go when they can."""
        with self._lock:
            lanes = self._board.set_hung_aside()
            for lane in lanes:
                self._threads.replace(lane)
            self._wake()
        for lane in lanes:
            _LOGGER.error("a microbatch hangs on %s; another thread takes its lane", lane.name)

    def _serve(self, lane: Lane) -> None:
        """Run microbatches until the scheduler closes, or another thread has this lane."""
        while (run := self._take(lane)) is not None:
            self._execute(lane, run)
            if self._threads.is_replaced(lane):
                return

    def _take(self, lane: Lane) -> Run | None:
        """Wait for work and take it; None when the scheduler is closed."""
        work = self._express_work if lane.is_express else self._work
        with self._lock:
            work.wait_for(
                lambda: self._is_closed or self._board.may_take(is_express=lane.is_express)
            )
            if self._is_closed:
                return None
            run = self._board.begin(lane)
            self._wake()
            return run

    def _wake(self) -> None:
        """Wake one thread that may take what waits; it wakes the next, if there is one."""
        if self._board.may_take(is_express=False):
            self._work.notify()
        elif self._board.may_take(is_express=True):
            self._express_work.notify()

    def _execute(self, lane: Lane, run: Run) -> None:
        """Run a microbatch and answer its items; an engine error singles them out."""
        try:
            vectors = run.embed()  # (B, H)
        except Exception as error:  # noqa: BLE001  whatever it is, only its culprit may get it
            self._finish(lane)
            self._isolate(run, error)
            return
        ended_at_s = self._clock()
        engine_s = ended_at_s - run.started_at_s
        self._finish(lane, engine_s)
        self._on_run(run.num_tokens, engine_s, is_express=run.is_express)
        deliver(run, vectors, ended_at_s)

    def _finish(self, lane: Lane, engine_s: float = 0.0) -> None:
        """Free the lane."""
        with self._lock:
            self._board.end(lane, engine_s)
            self._wake()

    def _isolate(self, run: Run, error: Exception) -> None:
        """Give the error to a lone item; let several run again, each alone."""
        if len(run.items) == 1:
            is_ours = isinstance(error, EngineError)
            fail(run.items[0], error if is_ours else EngineError(f"The engine failed: {error}"))
            return
        _LOGGER.warning("a microbatch of %d items failed; trying each alone", len(run.items))
        self._queue_again(run.queue, run.items)

    def _queue_again(self, queue: EncoderQueue, items: list[Item]) -> None:
        """Let items of a failed run wait again, each for a run of its own."""
        with self._lock:
            wanted = [item for item in items if not item.ticket.future.done()]
            if self._is_closed:
                for item in wanted:
                    fail(item, ShuttingDownError("The server is stopping."))
                return
            for item in wanted:
                item.is_suspect = True
            queue.add(wanted)
            self._wake()

    def _bury(self, lane: Lane) -> None:
        """Take a lane that ended off the books, and save what it held."""
        with self._lock:
            run = self._board.end(lane)
            self._wake()
        if run is None:
            return
        for item in run.items:
            item.num_deaths += 1
            if item.num_deaths >= _MAX_DEATHS:
                fail(item, EngineDiedError("The engine thread died on this text, twice."))
        self._queue_again(run.queue, run.items)
