"""A request on its way: a ticket for all of it, an item for each text, and what becomes of them.

Not thread-safe but for the ticket's own lock: the scheduler's guards the rest.
"""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import total_ordering

import numpy as np

from satsuma.scheduler.policy import Size
from satsuma.types import FloatArray, IntArray, Pooling

_sequence = itertools.count()


@dataclass(frozen=True, slots=True)
class Outcome:
    """A request's vectors and how long they took.

    Attributes:
        vectors: (B, H) float32, in the request's order.
        queue_s: from submission to the start of the last microbatch.
        inference_s: the longest microbatch that carried one of the items.
        states: (T, H) float32 hidden states of each item, where they were wanted.
    """

    vectors: FloatArray
    queue_s: float
    inference_s: float
    states: tuple[FloatArray, ...] = ()


@dataclass(slots=True, eq=False)
class Ticket:
    """A request on its way: where its vectors gather and who waits for them."""

    vectors: FloatArray  # (B, H), filled row by row
    num_pending: int
    submitted_at_s: float
    size: Size
    future: Future[Outcome] = field(default_factory=Future)
    queue_s: float = 0.0
    inference_s: float = 0.0
    waiting_tokens: int = 0  # of its items that no lane has taken
    is_normalized: bool = True
    states: dict[int, FloatArray] | None = None  # (T, H) by row, where they are wanted
    lock: threading.Lock = field(default_factory=threading.Lock)  # lanes end together

    def let_go(self) -> None:
        """Keep no answer alive once it is given: a queue may hold done items for a while."""
        self.vectors, self.states = np.empty((0, 0), np.float32), None


@total_ordering
@dataclass(slots=True, eq=False)
class Item:
    """One text on its way."""

    ticket: Ticket
    row: int
    token_ids: IntArray  # (T,)
    pooling: Pooling
    rank: float = 0.0
    sequence: int = field(default_factory=lambda: next(_sequence))
    num_deaths: int = 0  # engine threads that ended while they held it
    is_waiting: bool = False
    is_suspect: bool = False  # was in a microbatch that failed: runs alone

    @property
    def is_express(self) -> bool:
        """Whether the express lane may take it."""
        return self.ticket.size is Size.QUERY

    def __len__(self) -> int:
        """Count the tokens."""
        return len(self.token_ids)

    def __lt__(self, other: Item) -> bool:
        """Order by rank, then by arrival."""
        return (self.rank, self.sequence) < (other.rank, other.sequence)


def make_ticket(
    hidden_size: int,
    token_ids: list[IntArray],
    pooling: Pooling,
    now_s: float,
    size: Size = Size.MIDDLE,
) -> tuple[Ticket, list[Item]]:
    """Turn one request's texts into items that share a ticket; the queue ranks them."""
    vectors = np.empty((len(token_ids), hidden_size), np.float32)  # (B, H)
    ticket = Ticket(vectors, len(token_ids), now_s, size)
    return ticket, [Item(ticket, row, ids, pooling) for row, ids in enumerate(token_ids)]
