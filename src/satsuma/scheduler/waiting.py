"""What waits of one class of work, interactive or background: a queue for each encoder.

Not thread-safe: the scheduler's lock guards it.
"""

from __future__ import annotations

import itertools
from collections import deque

from satsuma.engine.protocol import Encoder
from satsuma.scheduler.admission import engine_seconds
from satsuma.scheduler.pace import WINDOW_ITEMS
from satsuma.scheduler.policy import OLDEST_EVERY, find_pressed, is_pressed
from satsuma.scheduler.queue import EncoderQueue
from satsuma.scheduler.rate import Rate
from satsuma.scheduler.tickets import Item, Ticket

# A look at every request is good for this part of the deadline: far less than what is left to who
# is pressed.
_LOOK_SHARE = 1 / 60


class Waiting:
    """Every encoder's queue, and which of them goes next."""

    def __init__(self) -> None:
        """Start with nothing."""
        self._queues: dict[int, EncoderQueue] = {}
        self._virtual_s = 0.0  # the engine's own time; see `policy.ranks`
        self._picks = itertools.count(1)
        self._next_look_s = float("-inf")
        self._pressed: tuple[EncoderQueue, deque[Ticket]] | None = None  # at the last look

    @property
    def queues(self) -> list[EncoderQueue]:
        """Every encoder's queue."""
        return list(self._queues.values())

    @property
    def num_tokens(self) -> int:
        """Tokens that wait, of all encoders."""
        return sum(queue.num_tokens for queue in self._queues.values())

    def queue(self, encoder: Encoder, rate: Rate | None = None) -> EncoderQueue:
        """Give an encoder's queue; a new one is empty, and measures by itself without a rate."""
        known = self._queues.get(id(encoder))
        if known is None:
            known = self._queues[id(encoder)] = EncoderQueue(encoder, rate)
        return known

    def find_queue(self, encoder: Encoder) -> EncoderQueue:
        """Give an encoder's queue, or one that nobody keeps: its model may be on its way out."""
        known = self._queues.get(id(encoder))
        return EncoderQueue(encoder) if known is None else known

    def forget(self, encoder: Encoder) -> None:
        """Drop an encoder's queue."""
        self._queues.pop(id(encoder), None)

    def add(self, queue: EncoderQueue, items: list[Item]) -> None:
        """Rank a new request's items, and let them wait."""
        queue.rank(items, self._virtual_s)
        queue.add(items)

    def take_all(self) -> list[Item]:
        """Take everything that waits."""
        return [item for queue in self._queues.values() for item in queue.take_all()]

    def next_queue(self) -> tuple[EncoderQueue, list[Ticket]]:
        """Choose the queue whose head ranks first, or now and then that of the oldest request.

        Returns:
            The queue, and the requests that go before all ranks there.
        """
        if next(self._picks) % OLDEST_EVERY == 0:
            oldest = [(queue, one) for queue in self.queues for one in [queue.oldest] if one]
            queue, first = min(oldest, key=lambda one: one[1].submitted_at_s)
            return queue, [first]
        queue = min(self._queues.values(), key=lambda queue: queue.first_rank)
        self._virtual_s = max(self._virtual_s, queue.first_rank)
        return queue, []

    def pressed(
        self, now_s: float, begun_s: float, deadline_s: float
    ) -> tuple[EncoderQueue, list[Ticket]] | None:
        """Give the requests that have to go first so that all are in time; None if none has to.

        Args:
            now_s: by the clock of the tickets.
            begun_s: seconds of the engine for what runs.
            deadline_s: for a request.
        """
        if not self._may_be_pressed(now_s, begun_s, deadline_s):
            self._pressed = None
            return None
        if now_s >= self._next_look_s or self._is_used_up():
            self._pressed = self._look(now_s, begun_s, deadline_s)
            self._next_look_s = now_s + _LOOK_SHARE * deadline_s
        if self._pressed is None:
            return None
        queue, tickets = self._pressed
        return queue, list(itertools.islice(tickets, WINDOW_ITEMS))

    def _is_used_up(self) -> bool:
        """Tell whether all were taken that had to go first; forget those that were."""
        if self._pressed is None:
            return False
        _, tickets = self._pressed
        while tickets and not tickets[0].waiting_tokens:
            tickets.popleft()
        return not tickets

    def _look(
        self, now_s: float, begun_s: float, deadline_s: float
    ) -> tuple[EncoderQueue, deque[Ticket]] | None:
        """Look at every request, for who has to go first."""
        tickets = [(one, queue) for queue in self.queues for one in queue.tickets]
        tickets.sort(key=lambda pair: pair[0].submitted_at_s)
        needs = (
            (
                now_s - one.submitted_at_s,
                engine_seconds(one.waiting_tokens, queue.rate_tokens_per_s),
            )
            for one, queue in tickets
        )
        index = find_pressed(needs, begun_s, deadline_s)
        if index is None:
            return None
        chosen = tickets[index][1]
        return chosen, deque(one for one, queue in tickets[index:] if queue is chosen)

    def _may_be_pressed(self, now_s: float, begun_s: float, deadline_s: float) -> bool:
        """Decide the common case without a look at each request: whether the oldest could wait."""
        queues = self._queues.values()
        waiting_s = sum(engine_seconds(one.num_tokens, one.rate_tokens_per_s) for one in queues)
        oldest_s = min((one.oldest.submitted_at_s for one in queues if one.oldest), default=now_s)
        return is_pressed(now_s - oldest_s, begun_s + waiting_s, deadline_s)
