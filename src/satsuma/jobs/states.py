"""What becomes of a queued request, and which are taken next: plain arithmetic on counts.

Knows no clock, no database and no event loop; `claims.py` and `worker.py` obey it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

# Tries of a request on which the engine fails, and the pauses between them: what was short of
# memory may find some.
MAX_ERRORS = 3
_PAUSES_S = (1.0, 5.0)

# Servers that a request may end while it runs alone. Its company at the first such end proves
# nothing against it, so that one does not count.
MAX_LONE_LOSSES = 3

# A server that works through its part this often before it is asked for more never runs dry while
# a commit is on its way.
_MICROBATCHES_AHEAD = 4

# A vanished server's requests run one by one; so many tiny ones make that bearable.
MAX_SLICE_REQUESTS = 256

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 15.0  # between looks at a database that does not answer
_SHORTEST_WAIT_S, _UNMEASURED_WAIT_S, _LONGEST_WAIT_S = 10.0, 60.0, 3600.0
_LEAST_BUSY_S = 0.01  # a clock's step; jobs of less have no rate


class RequestState(StrEnum):
    """Where one request of a job stands."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class JobStatus(StrEnum):
    """What a poll is told; Workers AI's words."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"


def status_of(*, has_begun: bool, num_finished: int, num_requests: int) -> JobStatus:
    """Tell a job's status from its counts."""
    if num_finished == num_requests:
        return JobStatus.DONE
    return JobStatus.RUNNING if has_begun else JobStatus.QUEUED


@dataclass(frozen=True, slots=True)
class Attempts:
    """What a request has been through.

    Attributes:
        num_errors: runs in which the engine failed on it.
        num_losses: servers that vanished while they held it among others.
        num_lone_losses: servers that vanished while they ran it alone.
    """

    num_errors: int = 0
    num_losses: int = 0
    num_lone_losses: int = 0

    @property
    def is_suspect(self) -> bool:
        """Whether it may have ended a server: from now on it runs alone."""
        return self.num_losses + self.num_lone_losses > 0

    @property
    def are_spent(self) -> bool:
        """Whether it is given up."""
        return self.num_errors >= MAX_ERRORS or self.num_lone_losses >= MAX_LONE_LOSSES

    @property
    def pause_s(self) -> float:
        """How long to wait before the next try."""
        return _PAUSES_S[min(self.num_errors, len(_PAUSES_S)) - 1] if self.num_errors else 0.0

    def after_error(self) -> Attempts:
        """Count a run in which the engine failed on it."""
        return replace(self, num_errors=self.num_errors + 1)

    def after_loss(self, *, was_alone: bool) -> Attempts:
        """Count a server that vanished; alone with it, it is the likely cause."""
        if was_alone:
            return replace(self, num_lone_losses=self.num_lone_losses + 1)
        return replace(self, num_losses=self.num_losses + 1)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A waiting request, as the choice sees it."""

    model: str
    num_tokens: int
    is_suspect: bool


def choose_slice(
    candidates: Sequence[Candidate], room_tokens: int, *, is_idle: bool, max_requests: int
) -> list[int]:
    """Choose what a server takes next: the oldest, and what goes with it.

    A suspect at the head is taken alone, once nothing else is under way here: only so does the
    server's end say anything about it. Suspects further down are passed by, and come to the head.

    Args:
        candidates: waiting requests, oldest first.
        room_tokens: how much to take; the last request may go beyond it.
        is_idle: whether this server has nothing under way.
        max_requests: how many to take at most.

    Returns:
        Indices, ascending; empty if nothing may be taken now.
    """
    if not candidates:
        return []
    head = candidates[0]
    if head.is_suspect:
        return [0] if is_idle else []
    alike = [
        i for i, one in enumerate(candidates) if one.model == head.model and not one.is_suspect
    ]
    before = itertools.accumulate((candidates[i].num_tokens for i in alike), initial=0)
    fit = [i for i, total in zip(alike, before, strict=False) if total < max(1, room_tokens)]
    return fit[:max_requests]


def target_tokens(num_lanes: int, microbatch_tokens: int) -> int:
    """Tokens that a server keeps under way: what fills its lanes until the next slice is there."""
    return num_lanes * microbatch_tokens * _MICROBATCHES_AHEAD


def outage_pause_s(num_failures: int) -> float:
    """How long to leave a database alone that has failed so often in a row."""
    return min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** min(num_failures, 10))


def texts_per_s(finished: Iterable[tuple[int, float, float]]) -> float:
    """The rate at which texts were answered while there was something to answer.

    Args:
        finished: of each job its answered texts, when it was begun and when done; in seconds.
    """
    num_texts, busy_s, busy_until_s = 0, 0.0, -math.inf
    for texts, begun_at_s, finished_at_s in sorted(finished, key=lambda job: job[1]):
        num_texts += texts
        busy_s += max(0.0, finished_at_s - max(begun_at_s, busy_until_s))
        busy_until_s = max(busy_until_s, finished_at_s)
    return num_texts / max(busy_s, _LEAST_BUSY_S)


def retry_after_s(surplus_texts: int, texts_per_s: float) -> float:
    """When a full queue should have room for so many texts."""
    if not texts_per_s:
        return _UNMEASURED_WAIT_S
    wait_s = math.ceil(surplus_texts / texts_per_s)
    return min(_LONGEST_WAIT_S, max(_SHORTEST_WAIT_S, wait_s))
