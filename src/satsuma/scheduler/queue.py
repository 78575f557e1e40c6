"""What waits for one encoder, in order of rank; and how fast that encoder has been.

Not thread-safe: the scheduler's lock guards it.
"""

from __future__ import annotations

import bisect
import itertools
import threading
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import total_ordering

import numpy as np

from satsuma.engine.protocol import Encoder
from satsuma.scheduler.policy import choose_items, rank
from satsuma.types import FloatArray, IntArray, Pooling

WINDOW_ITEMS = 128  # how many waiting items a microbatch is chosen from
_RATE_MEMORY = 0.9  # share of the old measurement that each new microbatch leaves

_sequence = itertools.count()


@dataclass(frozen=True, slots=True)
class Outcome:
    """A request's vectors and how long they took.

    Attributes:
        vectors: (B, H) float32 of unit length, in the request's order.
        queue_s: from submission to the start of the last microbatch.
        inference_s: the longest microbatch that carried one of the items.
    """

    vectors: FloatArray
    queue_s: float
    inference_s: float


@dataclass(slots=True)
class Ticket:
    """A request on its way: where its vectors gather and who waits for them."""

    vectors: FloatArray  # (B, H), filled row by row
    num_pending: int
    submitted_at_s: float
    future: Future[Outcome] = field(default_factory=Future)
    queue_s: float = 0.0
    inference_s: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)  # lanes end together


@total_ordering
@dataclass(slots=True, eq=False)
class Item:
    """One text on its way."""

    ticket: Ticket
    row: int
    token_ids: IntArray  # (T,)
    pooling: Pooling
    rank: float
    sequence: int = field(default_factory=lambda: next(_sequence))
    num_deaths: int = 0  # engine threads that ended while they held it
    is_waiting: bool = False
    is_suspect: bool = False  # was in a microbatch that failed: runs alone

    def __len__(self) -> int:
        """Count the tokens."""
        return len(self.token_ids)

    def __lt__(self, other: Item) -> bool:
        """Order by rank, then by arrival."""
        return (self.rank, self.sequence) < (other.rank, other.sequence)


class EncoderQueue:
    """The items that wait for one encoder."""

    def __init__(self, encoder: Encoder) -> None:
        """Start empty, with no measurement."""
        self.encoder = encoder
        self.num_tokens = 0
        self.reserved_tokens = 0  # of requests that are being tokenised
        self._items: list[Item] = []
        self._measured_tokens = 0.0
        self._measured_s = 0.0

    @property
    def first_rank(self) -> float:
        """Rank of the item that goes next; infinite if none waits."""
        return self._items[0].rank if self._items else float("inf")

    @property
    def rate_tokens_per_s(self) -> float:
        """Tokens a second of recent microbatches; 0 before the first."""
        return self._measured_tokens / self._measured_s if self._measured_s else 0.0

    def note_run(self, num_tokens: int, engine_s: float) -> None:
        """Remember how long a microbatch took, in seconds of the whole engine."""
        self._measured_tokens = self._measured_tokens * _RATE_MEMORY + num_tokens
        self._measured_s = self._measured_s * _RATE_MEMORY + engine_s

    def add(self, items: Iterable[Item]) -> None:
        """Let items wait at their rank."""
        for item in items:
            bisect.insort(self._items, item)
            item.is_waiting = True
            self.num_tokens += len(item)

    def discount(self, items: Iterable[Item]) -> None:
        """Forget those of a finished request's items that still wait; they cost nothing more."""
        for item in items:
            if item.is_waiting:
                item.is_waiting = False  # `take` meets it later, and leaves it out
                self.num_tokens -= len(item)
        first = next((i for i, item in enumerate(self._items) if item.is_waiting), len(self._items))
        del self._items[:first]

    def sizes(self) -> list[int]:
        """Tokens of each of the first items that wait."""
        return [len(item) for item in self._window()[0]]

    def take(self, token_budget: int) -> list[Item]:
        """Take the next microbatch's items; empty if nothing waits any more."""
        window, num_scanned = self._window()
        chosen = set(_choose(window, token_budget))
        self._items[:num_scanned] = [item for i, item in enumerate(window) if i not in chosen]
        taken = [window[i] for i in sorted(chosen)]
        self.discount(taken)
        return taken

    def take_all(self) -> list[Item]:
        """Take everything that waits."""
        items = [item for item in self._items if item.is_waiting]
        self._items = []
        self.discount(items)
        return items

    def _window(self) -> tuple[list[Item], int]:
        """List the first items that still wait, and how far down the queue they reach."""
        window: list[Item] = []
        for num_scanned, item in enumerate(self._items):
            if len(window) == WINDOW_ITEMS:
                return window, num_scanned
            if item.is_waiting:
                window.append(item)
        return window, len(self._items)


def _choose(window: list[Item], token_budget: int) -> list[int]:
    """Choose from a window; an item that was in a failed microbatch runs alone."""
    if not window or window[0].is_suspect:
        return [0][: len(window)]
    fit = [i for i, item in enumerate(window) if not item.is_suspect]
    return [fit[i] for i in choose_items([len(window[i]) for i in fit], token_budget)]


def make_ticket(
    encoder: Encoder, token_ids: list[IntArray], pooling: Pooling, now_s: float
) -> tuple[Ticket, list[Item]]:
    """Turn one request's texts into items that share a ticket."""
    vectors = np.empty((len(token_ids), encoder.hidden_size), np.float32)  # (B, H)
    ticket = Ticket(vectors, num_pending=len(token_ids), submitted_at_s=now_s)
    items = [
        Item(ticket, row, ids, pooling, rank(len(ids), now_s)) for row, ids in enumerate(token_ids)
    ]
    return ticket, items
