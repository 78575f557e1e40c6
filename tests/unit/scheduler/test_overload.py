"""More than the engine can do, for a while: whoever was let in is in time.

The board, its arithmetic and its queues are the real ones; the clock and the engine are made up, so
that minutes take no time and every run is the same.
"""

from __future__ import annotations

import heapq
import itertools
import random
import weakref
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from satsuma.engine.load import FakeEncoder
from satsuma.engine.protocol import Width
from satsuma.errors import OverloadedError
from satsuma.scheduler.admission import Limits
from satsuma.scheduler.board import Board
from satsuma.scheduler.lanes import Lane
from satsuma.scheduler.pace import Pace
from satsuma.scheduler.policy import EXPRESS_TOKENS, size_of
from satsuma.scheduler.run import Run
from satsuma.scheduler.tickets import Item, Ticket, make_ticket
from satsuma.types import Pooling

RATE_TOKENS_PER_S = 5_000.0
TOKEN_BUDGET = 1_024
NUM_LANES = 2
DEADLINE_S = 10.0
DURATION_S = 60.0

Draw = Callable[[random.Random], list[int]]


def draw_equal(_dice: random.Random) -> list[int]:
    """Four passages."""
    return [128] * 4


def draw_mixed(dice: random.Random) -> list[int]:
    """A query, or some passages of any length."""
    if dice.random() < 0.5:
        return [dice.randint(4, 12)]
    return [dice.randint(10, 250) for _ in range(dice.randint(1, 6))]


def draw_queries_and_bulk(dice: random.Random) -> list[int]:
    """Mostly queries; the work is in the rest."""
    return [dice.randint(4, 12)] if dice.random() < 0.8 else [128] * 32


@dataclass
class Engine:
    """A made-up engine under the real board.

    Attributes:
        speed: how fast it is at a moment, beside what was measured at its load.
        done: requests by what became of them, `query` or `work` before it.
        vectors: of every request that was let in, as long as anybody keeps them.
        num_over: how many of these requests are answered or given up, deadline and all.
        most_kept: of how many requests that are over the vectors were kept at once.
    """

    speed: Callable[[float], float] = lambda _: 1.0
    now_s: float = 0.0
    done: Counter[str] = field(default_factory=Counter)
    vectors: list[weakref.ref[Any]] = field(default_factory=list)
    num_over: int = 0
    most_kept: int = 0

    def __post_init__(self) -> None:
        """Begin with an empty board."""
        limits = Limits(DEADLINE_S, max_waiting_tokens=0)
        self._board = Board(
            num_lanes=NUM_LANES, pace=Pace(TOKEN_BUDGET), limits=limits, clock=lambda: self.now_s
        )
        self._encoder = FakeEncoder()
        self._board.queue(self._encoder).rate.note_run(1_000, 1_000 / RATE_TOKENS_PER_S)
        self._free = [*map(Lane, range(NUM_LANES)), Lane(NUM_LANES, is_express=True)]
        self._events: list[tuple[float, int, Callable[..., None], Any]] = []
        self._sequence = itertools.count()

    def offer(self, draw: Draw, times: float, seed: int, for_s: float = DURATION_S) -> None:
        """Send requests at random moments: so many times what the engine can do."""
        dice = random.Random(seed)  # noqa: S311 - no secret
        mean_tokens = float(np.mean([sum(draw(dice)) for _ in range(1_000)]))
        moment_s = 0.0
        while moment_s < for_s:
            moment_s += dice.expovariate(times * RATE_TOKENS_PER_S / mean_tokens)
            self._at(moment_s, self._arrive, draw(dice))
        while self._events:
            self.now_s, _, act, what = heapq.heappop(self._events)
            act(what)

    def _at(self, moment_s: float, act: Callable[..., None], what: Any) -> None:
        heapq.heappush(self._events, (moment_s, next(self._sequence), act, what))

    def _arrive(self, lengths: list[int]) -> None:
        num_tokens = sum(lengths)
        kind = "query" if num_tokens <= EXPRESS_TOKENS else "work"
        try:
            self._board.admit(self._board.queue(self._encoder), num_tokens)
        except OverloadedError:
            self.done[f"{kind} refused"] += 1
            return
        ids = [np.zeros(length, np.int64) for length in lengths]
        size = size_of(num_tokens, TOKEN_BUDGET)
        ticket, items = make_ticket(4, ids, Pooling.MEAN, self.now_s, size)
        self.vectors.append(weakref.ref(ticket.vectors))
        self._board.add(self._encoder, items, is_background=False)
        self._at(self.now_s + DEADLINE_S, self._give_up, (kind, ticket, items))
        self._begin()

    def _give_up(self, waited: tuple[str, Ticket, list[Item]]) -> None:
        """Count a request that is over, or drop it."""
        kind, ticket, items = waited
        self.done[f"{kind} {'late' if ticket.num_pending else 'answered'}"] += 1
        self._board.queue(self._encoder).discount(items)
        num_kept = sum(one() is not None for one in self.vectors)
        self.most_kept = max(self.most_kept, num_kept - (len(self.vectors) - self.num_over))
        self.num_over += 1

    def _begin(self) -> None:
        for lane in list(self._free):
            if self._board.may_take(is_express=lane.is_express):
                run = self._board.begin(lane)
                self._free.remove(lane)
                self._at(self.now_s + self._takes_s(run), self._end, (lane, run))

    def _takes_s(self, run: Run) -> float:
        share = 1 if run.width is Width.ALL_CORES else NUM_LANES
        return share * run.num_tokens / RATE_TOKENS_PER_S / self.speed(self.now_s)

    def _end(self, ended: tuple[Lane, Run]) -> None:
        lane, run = ended
        self._board.end(lane, self.now_s - run.started_at_s)
        self._free.append(lane)
        for item in run.items:
            item.ticket.num_pending -= 1
        self._begin()


@pytest.mark.parametrize("draw", [draw_equal, draw_mixed, draw_queries_and_bulk])
@pytest.mark.parametrize("times", [1.2, 2.0, 4.0])
def test_whoever_is_let_in_is_in_time(draw: Draw, times: float) -> None:
    """However much is offered, all that is answered late is nothing, and the engine is used."""
    engine = Engine()
    engine.offer(draw, times, seed=1)
    assert engine.done["work late"] + engine.done["query late"] == 0
    assert engine.done["work refused"] > 0
    answered = engine.done["work answered"] / (
        engine.done["work answered"] + engine.done["work refused"]
    )
    assert answered > 0.75 / times


def draw_many(_dice: random.Random) -> list[int]:
    """As many texts as a request may have."""
    return [16] * 100


def test_what_is_over_is_let_go_of() -> None:
    """However long it goes on, a queue keeps about as many that are over as wait."""
    engine = Engine()
    engine.offer(draw_many, 2.0, seed=4, for_s=4 * DURATION_S)
    most_waiting = DEADLINE_S * RATE_TOKENS_PER_S / 1_600
    assert engine.num_over > 10 * most_waiting
    assert engine.most_kept < 2 * most_waiting


def test_an_engine_that_slows_down_is_forgiven() -> None:
    """A third less than was measured, for seconds at a time, makes nobody late."""
    engine = Engine(speed=lambda moment_s: 0.65 if int(moment_s / 5) % 2 else 1.0)
    engine.offer(draw_mixed, 2.0, seed=2)
    assert engine.done["work late"] + engine.done["query late"] == 0


def test_queries_pass_bulk_work_by() -> None:
    """Overload by others is no reason to refuse them."""
    engine = Engine()
    engine.offer(draw_queries_and_bulk, 2.0, seed=3)
    assert engine.done["query refused"] == 0
