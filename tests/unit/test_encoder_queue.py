"""An encoder's queue under any sequence of arrivals, microbatches, failures and cancellations."""

from __future__ import annotations

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from satsuma.engine.fake import FakeEncoder
from satsuma.scheduler.queue import EncoderQueue
from satsuma.scheduler.tickets import Item, make_ticket
from satsuma.types import Pooling

SIZES = st.lists(st.integers(1, 600), min_size=1, max_size=70)  # two requests fill the window
BUDGETS = st.integers(1, 1024)


class EncoderQueueMachine(RuleBasedStateMachine):
    """The queue beside a plain set of what should be waiting in it."""

    def __init__(self) -> None:
        """Begin with nothing waiting."""
        super().__init__()
        self.queue = EncoderQueue(FakeEncoder())
        self.waiting: set[Item] = set()
        self.requests: list[list[Item]] = []
        self.now_s = 0.0
        self.virtual_s = 0.0

    @rule(sizes=SIZES)
    def a_request_arrives(self, sizes: list[int]) -> None:
        """Its items wait."""
        token_ids = [np.zeros(size, dtype=np.int64) for size in sizes]
        self.now_s += 1.0
        _, items = make_ticket(4, token_ids, Pooling.MEAN, self.now_s)
        self.queue.rank(items, self.virtual_s)
        self.queue.add(items)
        self.waiting.update(items)
        self.requests.append(items)

    @rule(data=st.data())
    def a_request_ends_early(self, data: st.DataObject) -> None:
        """None of its items is ever taken again; those that were taken count no twice."""
        if self.requests:
            index = data.draw(st.integers(0, len(self.requests) - 1))
            items = self.requests.pop(index)
            self.queue.discount(items)
            self.waiting.difference_update(items)

    @rule(budget=BUDGETS)
    def a_microbatch_runs(self, budget: int) -> None:
        """Its items are gone."""
        self.take(budget)

    @rule(budget=BUDGETS)
    def the_oldest_has_its_turn(self, budget: int) -> None:
        """Whatever ranks before it."""
        self.take(budget, is_for_oldest=True)

    @rule(budget=BUDGETS)
    def a_microbatch_fails(self, budget: int) -> None:
        """Its items come back to be run one by one."""
        items = self.take(budget)
        for item in items:
            item.is_suspect = True
        self.queue.add(items)
        self.waiting.update(items)

    @rule(budget=BUDGETS)
    def all_of_it_runs(self, budget: int) -> None:
        """In the end nothing waits, after at most as many microbatches as items."""
        for _ in range(len(self.waiting)):
            self.take(budget)
        assert not self.waiting

    @rule()
    def everything_is_taken_away(self) -> None:
        """As when the encoder is unloaded."""
        items = self.queue.take_all()
        assert len(items) == len(self.waiting)
        assert set(items) == self.waiting
        self.waiting.clear()

    def take(self, budget: int, *, is_for_oldest: bool = False) -> list[Item]:
        """Take a microbatch, and check it against what waits."""
        self.virtual_s = max(self.virtual_s, min((i.rank for i in self.waiting), default=0.0))
        oldest = self.queue.oldest if is_for_oldest else None
        taken = self.queue.take(budget, [oldest] if oldest else [])
        assert bool(taken) == bool(self.waiting)
        if taken:
            assert len(set(taken)) == len(taken)
            assert set(taken) <= self.waiting  # neither taken before nor discounted
            assert len(taken) == 1 or sum(map(len, taken)) <= budget
            assert len(taken) == 1 or not any(item.is_suspect for item in taken)
            self.check_the_first(taken, is_for_oldest=is_for_oldest)
        self.waiting.difference_update(taken)
        return taken

    def check_the_first(self, taken: list[Item], *, is_for_oldest: bool) -> None:
        """Nothing starves: the first rank goes, or the first of the oldest request."""
        if is_for_oldest:
            oldest_s = min(item.ticket.submitted_at_s for item in self.waiting)
            first = min(i for i in self.waiting if i.ticket.submitted_at_s == oldest_s)
        else:
            first = min(self.waiting)
        assert first in taken

    @invariant()
    def its_sums_are_right(self) -> None:
        """Tokens and the first rank are those of what waits."""
        assert self.queue.num_tokens == sum(map(len, self.waiting))
        expected = min((item.rank for item in self.waiting), default=float("inf"))
        assert self.queue.first_rank == expected
        oldest_s = min((i.ticket.submitted_at_s for i in self.waiting), default=None)
        assert (self.queue.oldest and self.queue.oldest.submitted_at_s) == oldest_s
        assert sum(self.queue.request_tokens) == self.queue.num_tokens


TestEncoderQueue = EncoderQueueMachine.TestCase
TestEncoderQueue.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
