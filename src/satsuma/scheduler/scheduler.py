"""Lanes pull microbatches from the queues as they become free: the shell around `policy.py`.

There is one lane, a thread, for each core. A free lane takes whatever is best at that moment, so
nothing waits for a timer, and a newcomer can still join the very next microbatch. Tokenising,
ranking and accounting happen while other microbatches run; what is left to do at the hand-over
takes tens of microseconds (docs/decisions/0005-lanes-pull.md).

Thread-safe. Knows encoders and queues; no HTTP, no models by name, no event loop.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager

from satsuma.engine.protocol import Encoder, Width
from satsuma.errors import EngineDiedError, EngineError, ShuttingDownError
from satsuma.scheduler.admission import Limits, WaitingRoom, admit, engine_seconds
from satsuma.scheduler.policy import OLDEST_EVERY, runs_wide, share_budget
from satsuma.scheduler.queue import EncoderQueue, Item, Outcome, make_ticket
from satsuma.scheduler.run import Run, deliver, fail
from satsuma.types import IntArray, Pooling

_LOGGER = logging.getLogger(__name__)
_MAX_DEATHS = 2  # engine threads that one item may end before it is given up
_REVIVAL_S = 0.2  # pause before a dead lane starts anew, so that a crash loop stays cool


class Scheduler:
    """Shares the cores among every request of every model."""

    def __init__(
        self,
        *,
        num_lanes: int,
        token_budget: int,
        limits: Limits,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start the lanes.

        Args:
            num_lanes: cores to use.
            token_budget: tokens of one microbatch.
            limits: how much may wait.
            clock: seconds, monotonic; tests give their own.
        """
        self._num_lanes = num_lanes
        self._token_budget = token_budget
        self._limits = limits
        self._clock = clock
        self._changed = threading.Condition()
        self._queues: dict[int, EncoderQueue] = {}
        self._runs: dict[int, Run] = {}  # by lane
        self._alive: set[int] = set()
        self._virtual_s = 0.0  # the engine's own time; see `policy.ranks`
        self._picks = itertools.count(1)
        self._is_closed = False
        self._lane_numbers = itertools.count()
        for _ in range(num_lanes):
            self._start_lane()

    # --- for requests -------------------------------------------------------------------------

    def submit(
        self, encoder: Encoder, token_ids: list[IntArray], pooling: Pooling
    ) -> Future[Outcome]:
        """Queue one request.

        Args:
            encoder: the model's.
            token_ids: B arrays of (T,) ids, at least one.
            pooling: the mode of all of them.

        Returns:
            Its vectors, later; cancelling the future takes what is left of it out of the queue.

        Raises:
            OverloadedError: if it could not be done in time.
            TooMuchWorkError: if it could not even on an idle engine.
            ShuttingDownError: if the scheduler is closed.
        """
        ticket, items = make_ticket(encoder.hidden_size, token_ids, pooling, self._clock())
        with self._changed:
            if self._is_closed:
                raise ShuttingDownError("The server is stopping.")
            queue = self._queue(encoder)
            self._admit(queue, sum(len(item) for item in items))
            queue.rank(items, self._virtual_s)
            queue.add(items)
            self._changed.notify_all()
        ticket.future.add_done_callback(lambda _: self._discount(queue, items))
        return ticket.future

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
        with self._changed:
            queue = self._queue(encoder)
            self._admit(queue, num_tokens)
            queue.reserved_tokens.append(num_tokens)
        try:
            yield
        finally:
            with self._changed:
                queue.reserved_tokens.remove(num_tokens)

    def note_rate(self, encoder: Encoder, num_tokens: int, engine_s: float) -> None:
        """Learn an encoder's rate from a run of all cores outside the queue, as at its load."""
        with self._changed:
            self._queue(encoder).note_run(num_tokens, engine_s)

    def forget(self, encoder: Encoder) -> None:
        """Drop an encoder's queue before the encoder is closed; nothing of it may wait."""
        with self._changed:
            self._queues.pop(id(encoder), None)

    def _queue(self, encoder: Encoder) -> EncoderQueue:
        return self._queues.setdefault(id(encoder), EncoderQueue(encoder))

    # --- for operators ------------------------------------------------------------------------

    def trouble(self, stuck_after_s: float) -> str:
        """Say what keeps the engine from answering; empty if nothing does.

        Args:
            stuck_after_s: a microbatch that has run for longer counts as stuck.
        """
        with self._changed:
            if len(self._alive) < self._num_lanes:
                return "an engine thread died and is being restarted"
            oldest = min((run.started_at_s for run in self._runs.values()), default=None)
        if oldest is not None and self._clock() - oldest > stuck_after_s:
            return f"a microbatch has been running for {self._clock() - oldest:.0f} s"
        return ""

    def room(self) -> WaitingRoom:
        """Say what is admitted and not done."""
        with self._changed:
            return self._room()

    def close(self, timeout_s: float | None = None) -> bool:
        """Stop the lanes; what still waits gets ShuttingDownError. Blocks for running work.

        Args:
            timeout_s: how long to wait for running work; None waits as long as it takes.

        Returns:
            Whether every lane has ended.
        """
        with self._changed:
            self._is_closed = True
            waiting = [item for queue in self._queues.values() for item in queue.take_all()]
            self._changed.notify_all()
            for item in waiting:
                fail(item, ShuttingDownError("The server is stopping."))
            return self._changed.wait_for(lambda: not self._alive, timeout_s)

    # --- admission ----------------------------------------------------------------------------

    def _admit(self, queue: EncoderQueue, new_tokens: int) -> None:
        new_s = engine_seconds(new_tokens, queue.rate_tokens_per_s)
        admit(self._room(), self._limits, new_tokens=new_tokens, new_s=new_s)

    def _room(self) -> WaitingRoom:
        queues = self._queues.values()
        running = [(run.num_tokens, run.queue.rate_tokens_per_s) for run in self._runs.values()]
        waiting = [(n, q.rate_tokens_per_s) for q in queues for n in q.request_tokens]
        return WaitingRoom.holding(running, waiting)

    def _discount(self, queue: EncoderQueue, items: list[Item]) -> None:
        """Take what is left of a finished request out of the queue."""
        with self._changed:
            queue.discount(items)
        items.clear()  # breaks the cycle future -> callback -> items -> future

    # --- lanes --------------------------------------------------------------------------------

    def _start_lane(self) -> None:
        lane = next(self._lane_numbers)
        with self._changed:
            if self._is_closed:
                return
            thread = threading.Thread(
                target=self._live, args=(lane,), name=f"satsuma-lane-{lane}", daemon=True
            )
            thread.start()  # it waits for the lock, so it counts as alive before it takes work
            self._alive.add(lane)

    def _live(self, lane: int) -> None:
        """Run microbatches until the scheduler closes; on any other end, start a lane anew."""
        is_closed = False
        try:
            while (run := self._take(lane)) is not None:
                self._execute(lane, run)
            is_closed = True
        except BaseException:  # even SystemExit: a lane that ends unseen would wedge the server
            _LOGGER.exception("an engine thread died; starting another")
        finally:
            self._bury(lane)
            if not is_closed:
                timer = threading.Timer(_REVIVAL_S, self._start_lane)
                timer.daemon = True
                timer.start()

    def _take(self, lane: int) -> Run | None:
        """Wait for work and take it; None when the scheduler is closed."""
        with self._changed:
            self._changed.wait_for(self._may_take)
            if self._is_closed:
                return None
            self._runs[lane] = self._next_run()
            return self._runs[lane]

    def _may_take(self) -> bool:
        is_wide = any(run.width is Width.ALL_CORES for run in self._runs.values())
        return self._is_closed or (
            not is_wide and any(queue.num_tokens for queue in self._queues.values())
        )

    def _next_run(self) -> Run:
        """Choose a queue, how wide to run, and the items."""
        queue, is_for_oldest = self._next_queue()
        waiting, num_busy = sum(q.num_tokens for q in self._queues.values()), len(self._runs)
        is_wide = runs_wide(queue.sizes(), self._num_lanes, num_busy)
        budget = self._token_budget
        if not is_wide:
            budget = share_budget(waiting, budget, self._num_lanes, num_busy)
        items = queue.take(budget, is_for_oldest=is_for_oldest)
        return Run(queue, items, Width.ALL_CORES if is_wide else Width.ONE_CORE, self._clock())

    def _next_queue(self) -> tuple[EncoderQueue, bool]:
        """Choose the queue whose head ranks first, or now and then that of the oldest request."""
        queues = self._queues.values()
        if next(self._picks) % OLDEST_EVERY == 0:
            return min(queues, key=lambda queue: queue.oldest_s), True
        queue = min(queues, key=lambda queue: queue.first_rank)
        self._virtual_s = max(self._virtual_s, queue.first_rank)
        return queue, False

    def _execute(self, lane: int, run: Run) -> None:
        """Run a microbatch and answer its items; an engine error singles them out."""
        try:
            vectors = run.embed()  # (B, H)
        except Exception as error:  # noqa: BLE001  whatever it is, only its culprit may get it
            self._finish(lane, run)
            self._isolate(run, error)
            return
        ended_at_s = self._clock()
        self._finish(lane, run, engine_s=ended_at_s - run.started_at_s)
        deliver(run, vectors, ended_at_s)

    def _finish(self, lane: int, run: Run, engine_s: float = 0.0) -> None:
        """Free the lane; a run that succeeded tells how fast the engine is."""
        with self._changed:
            if engine_s:
                share = 1 if run.width is Width.ALL_CORES else self._num_lanes
                run.queue.note_run(run.num_tokens, engine_s / share)
            del self._runs[lane]
            self._changed.notify_all()

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
        with self._changed:
            wanted = [item for item in items if not item.ticket.future.done()]
            if self._is_closed:
                for item in wanted:
                    fail(item, ShuttingDownError("The server is stopping."))
                return
            for item in wanted:
                item.is_suspect = True
            queue.add(wanted)
            self._changed.notify_all()

    def _bury(self, lane: int) -> None:
        """Take a lane that ended off the books, and save what it held."""
        with self._changed:
            self._alive.discard(lane)
            run = self._runs.pop(lane, None)
            self._changed.notify_all()
        if run is None:
            return
        for item in run.items:
            item.num_deaths += 1
            if item.num_deaths >= _MAX_DEATHS:
                fail(item, EngineDiedError("The engine thread died on this text, twice."))
        self._queue_again(run.queue, run.items)
