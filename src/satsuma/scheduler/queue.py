"""What waits for one encoder, in order of rank.

Not thread-safe: the scheduler's lock guards it.
"""

from __future__ import annotations

import bisect
import heapq
import itertools
from collections.abc import Iterable, Sequence

from satsuma.engine.protocol import Encoder
from satsuma.scheduler.pace import WINDOW_ITEMS
from satsuma.scheduler.policy import Size, choose_express, choose_items, kept_apart_from, ranks
from satsuma.scheduler.rate import Rate
from satsuma.scheduler.tickets import Item, Ticket

_PREFERRED_BUDGETS = 2  # with so much there are enough items of like length

_arrival_numbers = itertools.count()  # tell requests of one moment apart


class EncoderQueue:
    """The items of one class that wait for one encoder."""

    def __init__(self, encoder: Encoder, rate: Rate | None = None) -> None:
        """Start empty.

        Args:
            encoder: whose items these are.
            rate: shared with the encoder's other queue; None begins a measurement.
        """
        self.encoder = encoder
        self.rate = rate or Rate()
        self.num_tokens = 0
        self._reserved_tokens: list[int] = []  # of each request that is being tokenised
        self.num_express = 0  # items that wait and that the express lane may take
        self._items: list[Item] = []
        self._express: list[Item] = []  # those of them, which may be far down the queue
        self._waiting: dict[Ticket, set[Item]] = {}
        self._num_waiting = 0
        self._arrivals: list[tuple[float, int, Ticket]] = []  # a heap; some wait no more
        self._large: set[Ticket] = set()  # of those that wait

    @property
    def first_rank(self) -> float:
        """Rank of the item that goes next; infinite if none waits."""
        return self._items[0].rank if self._items else float("inf")

    @property
    def first_express_rank(self) -> float:
        """Rank of the first item that the express lane may take; infinite if none waits."""
        return next((item.rank for item in self._express if item.is_waiting), float("inf"))

    @property
    def tickets(self) -> Iterable[Ticket]:
        """The requests that wait, in no certain order."""
        return self._waiting.keys()

    @property
    def oldest(self) -> Ticket | None:
        """The request that has waited longest; None if none waits."""
        while self._arrivals and self._arrivals[0][-1] not in self._waiting:
            heapq.heappop(self._arrivals)
        return self._arrivals[0][-1] if self._arrivals else None

    @property
    def request_tokens(self) -> list[int]:
        """Tokens that wait of each request, those that are being tokenised included."""
        return [*self._reserved_tokens, *(ticket.waiting_tokens for ticket in self._waiting)]

    @property
    def large_tokens(self) -> list[int]:
        """The same of those that are bulk work or being tokenised, which are never many."""
        return [*self._reserved_tokens, *(ticket.waiting_tokens for ticket in self._large)]

    @property
    def admitted_tokens(self) -> int:
        """Tokens that wait, of all requests, and of those that are being tokenised."""
        return self.num_tokens + sum(self._reserved_tokens)

    @property
    def rate_tokens_per_s(self) -> float:
        """Tokens a second of recent microbatches; 0 before the first."""
        return self.rate.tokens_per_s

    def reserve(self, num_tokens: int) -> None:
        """Count a request that is being tokenised."""
        self._reserved_tokens.append(num_tokens)

    def release(self, num_tokens: int) -> None:
        """Count it no more."""
        self._reserved_tokens.remove(num_tokens)

    def rank(self, items: Sequence[Item], virtual_s: float) -> None:
        """Give a new request's items their places; see `policy.ranks`."""
        places = ranks([len(item) for item in items], virtual_s, self.rate_tokens_per_s)
        for item, place in zip(items, places, strict=True):
            item.rank = place

    def add(self, items: Iterable[Item]) -> None:
        """Let items wait at their rank."""
        for item in items:
            _insert(self._items, item)
            item.is_waiting = True
            self._num_waiting += 1
            self.num_tokens += len(item)
            if item.is_express:
                _insert(self._express, item)
                self.num_express += 1
            item.ticket.waiting_tokens += len(item)
            self._remember(item)

    def discount(self, items: Iterable[Item]) -> None:
        """Forget those of a finished request's items that still wait; they cost nothing more."""
        for item in items:
            if item.is_waiting:
                item.is_waiting = False  # `take` meets it later, and leaves it out
                self._num_waiting -= 1
                self.num_tokens -= len(item)
                self.num_express -= item.is_express
                self._forget(item)
        first = next((i for i, item in enumerate(self._items) if item.is_waiting), len(self._items))
        del self._items[:first]
        self._tidy()

    def sizes(self) -> list[int]:
        """Tokens of each of the first items that wait."""
        return [len(item) for item in self._window()[0]]

    def take(
        self, token_budget: int, first: Sequence[Ticket] = (), num_items: int = WINDOW_ITEMS
    ) -> list[Item]:
        """Take the next microbatch's items; empty if nothing waits any more.

        Args:
            token_budget: tokens that it may hold, unless one item alone has more.
            first: requests that go before all ranks, in this order.
            num_items: of the queue's head, to choose from.
        """
        window, num_scanned = self._window(num_items)
        self._items[:num_scanned] = window
        if first:
            window = self._put_first(first, window, _PREFERRED_BUDGETS * token_budget)
        taken = [window[i] for i in _choose(window, token_budget)]
        self.discount(taken)
        return taken

    def take_express(self) -> list[Item]:
        """Take the next microbatch of the express lane: queries, and nothing else."""
        queries = self._express = [item for item in self._express if item.is_waiting]
        fit = queries[:1]  # one that was in a failed microbatch runs alone
        if not queries[0].is_suspect:
            fit = [item for item in queries if not item.is_suspect]
        taken = [fit[i] for i in choose_express([len(item) for item in fit])]
        self.discount(taken)
        return taken

    def take_all(self) -> list[Item]:
        """Take everything that waits."""
        items = [item for item in self._items if item.is_waiting]
        self._items = []
        self._express = []
        self.discount(items)
        return items

    def _put_first(
        self, tickets: Sequence[Ticket], window: list[Item], enough_tokens: int
    ) -> list[Item]:
        """Begin a window with requests; unless they have enough tokens, go on by rank."""
        preferred: list[Item] = []
        num_items = max(WINDOW_ITEMS, len(window))
        num_tokens = 0
        head = next((ticket for ticket in tickets if ticket.waiting_tokens), None)
        apart = kept_apart_from(head.size) if head else None
        for ticket in tickets:
            if ticket.size is apart:
                continue
            preferred += heapq.nsmallest(num_items, self._waiting.get(ticket, ()))
            num_tokens += ticket.waiting_tokens
            if num_tokens >= enough_tokens or len(preferred) >= num_items:
                return preferred[:num_items]
        known = set(preferred)
        return [*preferred, *(item for item in window if item not in known)][:num_items]

    def _remember(self, item: Item) -> None:
        """Count an item among what waits of its request."""
        ticket = item.ticket
        if ticket not in self._waiting:
            self._waiting[ticket] = set()
            heapq.heappush(self._arrivals, (ticket.submitted_at_s, next(_arrival_numbers), ticket))
            if ticket.size is Size.BULK:
                self._large.add(ticket)
        self._waiting[ticket].add(item)

    def _forget(self, item: Item) -> None:
        """Drop an item from what waits of its request."""
        item.ticket.waiting_tokens -= len(item)
        items = self._waiting[item.ticket]
        items.discard(item)
        if not items:
            del self._waiting[item.ticket]
            self._large.discard(item.ticket)

    def _tidy(self) -> None:
        """Let go of what waits no more, once it is most of a list; its vectors are kept alive."""
        if len(self._express) > 2 * self.num_express:
            self._express = [item for item in self._express if item.is_waiting]
        if len(self._items) > 2 * self._num_waiting:
            self._items = [item for item in self._items if item.is_waiting]
        if len(self._arrivals) > 2 * len(self._waiting):
            self._arrivals = [one for one in self._arrivals if one[-1] in self._waiting]
            heapq.heapify(self._arrivals)

    def _window(self, num_items: int = WINDOW_ITEMS) -> tuple[list[Item], int]:
        """List the first items that still wait, and how far down the queue they reach."""
        window: list[Item] = []
        for num_scanned, item in enumerate(self._items):
            if len(window) == num_items:
                return window, num_scanned
            if item.is_waiting:
                window.append(item)
        return window, len(self._items)


def _insert(items: list[Item], item: Item) -> None:
    """Put an item in its place, unless it is there still, as one that comes back may be."""
    index = bisect.bisect_left(items, item)
    if index == len(items) or items[index] is not item:
        items.insert(index, item)


def _choose(window: list[Item], token_budget: int) -> list[int]:
    """Choose from a window; an item that was in a failed microbatch runs alone."""
    if not window or window[0].is_suspect:
        return [0][: len(window)]
    apart = kept_apart_from(window[0].ticket.size)
    fit = [
        i for i, item in enumerate(window) if not item.is_suspect and item.ticket.size is not apart
    ]
    return [fit[i] for i in choose_items([len(window[i]) for i in fit], token_budget)]
