"""What waits, what runs, and who goes next: the books that the policy and admission judge.

Background work waits in queues of its own, which nobody looks at while anything else waits; it
counts for nothing in admission (docs/decisions/0012-the-queue.md).

Not thread-safe: the scheduler's lock guards it. Knows no threads.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

from satsuma.engine.protocol import Encoder, Width
from satsuma.scheduler.admission import Limits, WaitingRoom, admit, engine_seconds, fits_behind_all
from satsuma.scheduler.lanes import Lane
from satsuma.scheduler.pace import Pace, background_pace, share_budget
from satsuma.scheduler.policy import hangs, needs_express, runs_wide, tells_rate
from satsuma.scheduler.queue import EncoderQueue
from satsuma.scheduler.run import Run
from satsuma.scheduler.tickets import Item, Ticket
from satsuma.scheduler.waiting import Waiting

_MOST_HUNG = 2  # times all lanes


class Board:
    """What waits for every encoder, and every lane's run."""

    def __init__(
        self, *, num_lanes: int, pace: Pace, limits: Limits, clock: Callable[[], float]
    ) -> None:
        """Start with nothing; see `Scheduler` for the arguments."""
        self._num_lanes = num_lanes
        self._pace = pace
        self._limits = limits
        self._clock = clock
        self._interactive = Waiting()
        self._background = Waiting()
        self._runs: dict[Lane, Run] = {}
        self._hung: dict[Lane, Run] = {}  # hold no lane any more
        self._guests: dict[int, Run] = {}  # one at most, by thread: who runs its own query
        self.drop_guest = self._guests.pop

    # --- what waits ---------------------------------------------------------------------------

    def queue(self, encoder: Encoder) -> EncoderQueue:
        """Give an encoder's queue; a new one is empty."""
        return self._interactive.queue(encoder)

    def pace(self, encoder: Encoder) -> Pace:
        """Say what microbatches an encoder wants."""
        return self._pace_of(self.queue(encoder))

    def forget(self, encoder: Encoder) -> None:
        """Drop an encoder's queues."""
        self._interactive.forget(encoder)
        self._background.forget(encoder)

    def add(self, encoder: Encoder, items: list[Item], *, is_background: bool) -> EncoderQueue:
        """Rank a new request's items, let them wait, and say in which queue."""
        queue = self.queue(encoder)
        if is_background:
            queue = self._background.queue(encoder, queue.rate)
        (self._background if is_background else self._interactive).add(queue, items)
        return queue

    def take_all(self) -> list[Item]:
        """Take everything that waits."""
        return [*self._interactive.take_all(), *self._background.take_all()]

    # --- admission ----------------------------------------------------------------------------

    def admit(self, queue: EncoderQueue, new_tokens: int) -> None:
        """Let a request in; see `admission.admit`."""
        new_s = engine_seconds(new_tokens, queue.rate_tokens_per_s)
        if fits_behind_all(self._totals(), self._limits, new_tokens=new_tokens, new_s=new_s):
            return
        least_s = engine_seconds(new_tokens, queue.rate.best_tokens_per_s)
        room = self._room_by_sums()
        admit(room, self._limits, new_tokens=new_tokens, new_s=new_s, least_s=least_s)

    def room(self) -> WaitingRoom:
        """Say what is admitted and not done."""
        queues = self._interactive.queues
        waiting = [
            (num_tokens, queue.rate_tokens_per_s)
            for queue in queues
            for num_tokens in queue.request_tokens
        ]
        return WaitingRoom.holding(self._running(), waiting)

    def _room_by_sums(self) -> WaitingRoom:
        """Say the same without a look at each small request: only large ones are told apart."""
        large, small = [], self._running()
        for queue in self._interactive.queues:
            rate = queue.rate_tokens_per_s
            large += [(num_tokens, rate) for num_tokens in queue.large_tokens]
            small.append((queue.admitted_tokens - sum(queue.large_tokens), rate))
        return WaitingRoom.holding(small, large)

    def _totals(self) -> tuple[int, float]:
        """Add up what is admitted and not done: tokens, and seconds of the engine."""
        queues = self._interactive.queues
        pieces = [(queue.admitted_tokens, queue.rate_tokens_per_s) for queue in queues]
        pieces += self._running()
        num_tokens = sum(piece_tokens for piece_tokens, _ in pieces)
        return num_tokens, sum(itertools.starmap(engine_seconds, pieces))

    def _running(self) -> list[tuple[int, float]]:
        """List what runs; a newcomer waits for one microbatch of background work at most."""
        runs = [run for run in self._runs_and_guests() if not run.is_background]
        return [(run.num_tokens, run.queue.rate_tokens_per_s) for run in runs]

    # --- what runs ----------------------------------------------------------------------------

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs and nothing waits."""
        return not (
            self._runs
            or self._guests
            or self._interactive.num_tokens
            or self._background.num_tokens
        )

    def is_guest(self, thread: int) -> bool:
        """Tell whether a thread runs a query of its own."""
        return thread in self._guests

    def has_guest_beside(self, thread: int) -> bool:
        """Tell whether another thread does."""
        return any(guest != thread for guest in [*self._guests])

    @property
    def oldest_run_s(self) -> float | None:
        """When the run began that began first of those that hold a lane; None if nothing runs."""
        return min((run.started_at_s for run in self._runs_and_guests()), default=None)

    @property
    def oldest_hung_s(self) -> float | None:
        """When the run began that hangs for longest; None if none does."""
        return min((run.started_at_s for run in self._hung.values()), default=None)

    def may_take(self, *, is_express: bool) -> bool:
        """Tell whether there is something to do, for a lane or for the express lane."""
        lanes = [run for run in self._runs_and_guests() if not run.is_express]
        is_wide = any(run.width is Width.ALL_CORES for run in lanes)
        if not is_express:
            is_free = not is_wide and len(lanes) < self._num_lanes
            return is_free and bool(self._interactive.num_tokens or self._background.num_tokens)
        is_free = len(lanes) == len(self._runs) + len(self._guests)
        queries = [run.holds_query for run in lanes]
        return (
            is_free
            and any(queue.num_express for queue in self._interactive.queues)
            and needs_express(queries, self._num_lanes, is_wide=is_wide)
        )

    def begin(self, lane: Lane) -> Run:
        """Choose a lane's next run; something has to wait for it."""
        if lane.is_express:
            run = self._next_express_run()
        elif self._interactive.num_tokens:
            run = self._next_run()
        else:
            run = self._next_background_run()
        self._runs[lane] = run
        return run

    def enter(self, guest: int, encoder: Encoder, items: list[Item]) -> Run:
        """Note that a caller runs its items on all cores, past the queue.

        `drop_guest` ends it, without the lock: a single step of C, for Ctrl-C may come between any
        two of Python's.
        """
        queue = self._interactive.find_queue(encoder)
        run = Run(queue, items, Width.ALL_CORES, self._clock())
        self._guests[guest] = run
        return run

    def end(self, lane: Lane, engine_s: float = 0.0) -> Run | None:
        """Take a lane's run off the books; one that succeeded may tell how fast the engine is."""
        run = self._hung.pop(lane, None)
        if run is not None:
            return run
        run = self._runs.pop(lane, None)
        if run is not None and engine_s and tells_rate(run.num_tokens, is_express=run.is_express):
            run.queue.rate.note_run(run.num_tokens, engine_s / self._share(run))
        return run

    def set_hung_aside(self) -> list[Lane]:
        """Take the runs that hang off their lanes, and say off which.

        Not for ever: where each new thread hangs too, nobody is helped by more of them.
        """
        num_more = _MOST_HUNG * (self._num_lanes + 1) - len(self._hung)
        lanes = [lane for lane, run in self._runs.items() if self._hangs(run)][:num_more]
        self._hung |= {lane: self._runs.pop(lane) for lane in lanes}
        return lanes

    def _hangs(self, run: Run) -> bool:
        alone_s = self._num_lanes * engine_seconds(run.num_tokens, run.queue.rate_tokens_per_s)
        return hangs(self._clock() - run.started_at_s, alone_s, self._limits.deadline_s)

    def _share(self, run: Run) -> int:
        """Say how many such runs the engine does at once."""
        if run.width is Width.ALL_CORES:
            return 1
        if self._pace_of(run.queue).runs_wide:
            return self._num_lanes
        return len(self._runs) + 1  # a card is shared by those that run

    def _runs_and_guests(self) -> list[Run]:
        return [*self._runs.values(), *self._guests.values()]

    def _running_tokens(self) -> int:
        return sum(run.num_tokens for run in self._runs.values())

    def _pace_of(self, queue: EncoderQueue) -> Pace:
        return queue.rate.pace or self._pace

    def _next_run(self) -> Run:
        """Choose a queue, how wide to run, and the items."""
        queue, first = self._pressed() or self._interactive.next_queue()
        waiting, num_busy = self._interactive.num_tokens, len(self._runs)
        pace = self._pace_of(queue)
        is_wide = pace.runs_wide and runs_wide(queue.sizes(), self._num_lanes, num_busy)
        budget = pace.budget
        if not is_wide:
            budget = share_budget(waiting, self._running_tokens(), pace, self._num_lanes)
        items = queue.take(budget, first, pace.window_items)
        return Run(queue, items, Width.ALL_CORES if is_wide else Width.ONE_LANE, self._clock())

    def _pressed(self) -> tuple[EncoderQueue, list[Ticket]] | None:
        """Give the requests that have to go first; see `policy.find_pressed`."""
        begun_s = sum(itertools.starmap(engine_seconds, self._running()))
        return self._interactive.pressed(self._clock(), begun_s, self._limits.deadline_s)

    def _next_background_run(self) -> Run:
        """Choose a queue and its items; never wide, so that a newcomer finds the other cores."""
        queue, first = self._background.next_queue()
        waiting, pace = self._background.num_tokens, background_pace(self._pace_of(queue))
        budget = share_budget(waiting, self._running_tokens(), pace, self._num_lanes)
        items = queue.take(budget, first, pace.window_items)
        return Run(queue, items, Width.ONE_LANE, self._clock(), is_background=True)

    def _next_express_run(self) -> Run:
        """Choose a queue and its first queries."""
        queue = min(self._interactive.queues, key=lambda queue: queue.first_express_rank)
        items = queue.take_express()
        return Run(queue, items, Width.ONE_CORE, self._clock(), is_express=True)
