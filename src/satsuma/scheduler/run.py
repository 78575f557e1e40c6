"""One microbatch on a lane: from its items to their answers.

Knows no lanes and no locks but each ticket's own; `scheduler.py` decides what runs where.
"""

from __future__ import annotations

import logging
from concurrent.futures import InvalidStateError
from dataclasses import dataclass, field

import numpy as np

from satsuma.engine.pooling import pool
from satsuma.engine.protocol import Microbatch, Width
from satsuma.errors import EngineError
from satsuma.scheduler.policy import Size
from satsuma.scheduler.queue import EncoderQueue
from satsuma.scheduler.tickets import Item, Outcome
from satsuma.types import FloatArray

_LOGGER = logging.getLogger(__name__)


@dataclass(slots=True)
class Run:
    """A microbatch that a lane has taken."""

    queue: EncoderQueue
    items: list[Item]
    width: Width
    started_at_s: float
    is_express: bool = False
    is_background: bool = False
    num_tokens: int = field(init=False)  # of all items

    def __post_init__(self) -> None:
        """Count once: every admission asks."""
        self.num_tokens = sum(map(len, self.items))

    @property
    def holds_query(self) -> bool:
        """Whether it began with a query; bulk work is not among its items then."""
        return self.items[0].ticket.size is Size.QUERY

    def embed(self) -> FloatArray:
        """Encode and pool: (B, H) float32, of unit length where model and request want that.

        Raises:
            EngineError: if the encoder fails, or returns other rows than it was asked for, or
                values that are not finite.
        """
        microbatch = Microbatch.pack([item.token_ids for item in self.items])
        hidden_states = self.queue.encoder.encode(microbatch, self.width)  # (T, H)
        if len(hidden_states) != len(microbatch.token_ids):
            raise EngineError(f"{len(hidden_states)} rows for {len(microbatch.token_ids)} tokens.")
        if any(item.ticket.states is not None for item in self.items):
            self._keep_states(hidden_states)
        poolings = [item.pooling for item in self.items]
        is_scaled = self.queue.encoder.is_normalized
        unscaled = [
            row
            for row, item in enumerate(self.items)
            if not (is_scaled and item.ticket.is_normalized)
        ]
        vectors = pool(hidden_states, microbatch.lengths, poolings, unscaled)
        if vectors.shape[1] != self.queue.encoder.hidden_size:
            raise EngineError(f"Hidden states of {vectors.shape[1]} values.")
        if not np.isfinite(vectors).all():
            raise EngineError("The engine returned values that are not finite.")
        return vectors

    def _keep_states(self, hidden_states: FloatArray) -> None:
        """Copy the hidden states of items whose request wants them."""
        start = 0
        for item in self.items:
            end = start + len(item)
            if item.ticket.states is not None:
                item.ticket.states[item.row] = hidden_states[start:end].copy()  # (T, H)
            start = end


def deliver(run: Run, vectors: FloatArray, ended_at_s: float) -> None:
    """Answer every item of a run; none is left waiting, even if an answer cannot be made.

    Args:
        run: what was taken.
        vectors: (B, H), its items' vectors.
        ended_at_s: when the encoder was done.
    """
    try:
        for item, vector in zip(run.items, vectors, strict=True):
            _answer(item, vector, run.started_at_s, ended_at_s)
    except BaseException as error:
        for item in run.items:
            fail(item, EngineError(f"The answer could not be put together: {error!r}"))
        raise


def _answer(item: Item, vector: FloatArray, started_at_s: float, ended_at_s: float) -> None:
    """Put an item's vector into its request's answer, and send that when it is whole."""
    ticket = item.ticket
    ticket.vectors[item.row] = vector
    with ticket.lock:
        ticket.queue_s = max(ticket.queue_s, started_at_s - ticket.submitted_at_s)
        ticket.inference_s = max(ticket.inference_s, ended_at_s - started_at_s)
        ticket.num_pending -= 1
        is_whole = ticket.num_pending == 0
    if is_whole:
        states = ticket.states or {}
        in_order = tuple(states[row] for row in sorted(states))
        outcome = Outcome(ticket.vectors, ticket.queue_s, ticket.inference_s, in_order)
        ticket.let_go()
        try:
            ticket.future.set_result(outcome)
        except InvalidStateError:  # the client went away
            _LOGGER.debug("nobody waits for this answer any more")


def fail(item: Item, error: Exception) -> None:
    """Fail an item's whole request, unless it is over already."""
    try:
        item.ticket.future.set_exception(error)
    except InvalidStateError:  # the client went away, or another item failed first
        _LOGGER.debug("nobody waits for this error: %s", error)
