"""Who runs next, with whom, and on how many cores: plain arithmetic on token counts.

Knows no clock, thread, tensor or encoder; `scheduler.py` drives it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from enum import Enum, auto

from satsuma.scheduler.pace import MIN_LANE_TOKENS, MIN_SHARE_TOKENS

# What an encoder is taken to do before its rate was ever measured.
UNMEASURED_TOKENS_PER_S = 1024.0

# One microbatch in so many goes to the request that has waited longest, whatever ranks before it:
# a flood of short texts leaves long ones a quarter of the engine.
OLDEST_EVERY = 4

# A request that was let in is pressed from this part of the deadline on before the last moment at
# which it could begin: then it goes first.
PRESSED_SHARE = 0.3

# Attention pays for the rectangle of a microbatch's items by its longest one. Twice the budget
# keeps that under a seventh of the work, even where short items ride with long ones.
MAX_PADDING_RATIO = 2

# A request of at most so many tokens is a query: somebody waits for it. So much work also fits
# beside what every core has to do without holding it up for long.
EXPRESS_TOKENS = 64

# A microbatch hangs once it has taken this part of the deadline, by which who waits behind it would
# still be in time, and so many times what it should take.
HANGS_SHARE = 0.25
HANGS_TIMES = 4

# Splitting is not worth it where one lane would get this much more than its even part.
MAX_IMBALANCE = 1.5


class Size(Enum):
    """What a request is, by its tokens."""

    QUERY = auto()
    MIDDLE = auto()
    BULK = auto()


def size_of(request_tokens: int, token_budget: int, *, is_background: bool = False) -> Size:
    """Tell a query, which is answered at once, and bulk work, which fills whole microbatches.

    Nobody waits for background work, so it is never a query.
    """
    if is_background:
        return Size.BULK
    if request_tokens <= EXPRESS_TOKENS:
        return Size.QUERY
    return Size.BULK if request_tokens > token_budget else Size.MIDDLE


def kept_apart_from(size: Size) -> Size | None:
    """Tell whose items a request's never ride with; None if with all.

    A microbatch is answered when all of it is done, so a query would wait for the bulk work that it
    was filled up with.
    """
    return _KEPT_APART.get(size)


_KEPT_APART = {Size.QUERY: Size.BULK, Size.BULK: Size.QUERY}


def needs_express(holds_query: Sequence[bool], num_lanes: int, *, is_wide: bool) -> bool:
    """Decide whether a query goes on the express lane: if all cores are held, by other work.

    Where a core is free or soon will be, an extra thread would only slow down the others.

    Args:
        holds_query: of each microbatch that runs in the lanes, whether it began with a query.
        num_lanes: cores.
        is_wide: whether one of them has every core.
    """
    is_full = is_wide or len(holds_query) >= num_lanes
    return is_full and not any(holds_query)


def choose_express(num_tokens: Sequence[int]) -> list[int]:
    """Take the first queries that fit into a microbatch of the express lane.

    Args:
        num_tokens: tokens of each waiting query's items, in order of rank.

    Returns:
        Indices, ascending.
    """
    totals = itertools.accumulate(num_tokens)
    return [i for i, total in enumerate(totals) if total <= EXPRESS_TOKENS]


def ranks(num_tokens: Sequence[int], virtual_s: float, rate_tokens_per_s: float) -> list[float]:
    """Order of service of a request's items, among those of all requests: lowest first.

    Every request that waits gets an equal part of the engine, so that a query does not wait for
    somebody else's thousand texts. An item's rank is the moment, in the engine's own time, at which
    it would be done if its request had begun at once and had the engine to itself, long items
    first: short ones at the end let all lanes end together. A rank never changes, so a queue can
    keep itself sorted.

    Args:
        num_tokens: tokens of each item.
        virtual_s: the engine's own time: the rank of what was last taken.
        rate_tokens_per_s: the encoder's; 0 before it was measured.

    Returns:
        A rank for each item.

    Source: Golestani 1994, A self-clocked fair queueing scheme for broadband applications.
    """
    rate = rate_tokens_per_s or UNMEASURED_TOKENS_PER_S
    if len(num_tokens) == 1:
        return [virtual_s + num_tokens[0] / rate]
    by_length = sorted(range(len(num_tokens)), key=num_tokens.__getitem__, reverse=True)
    before = itertools.accumulate(num_tokens[index] for index in by_length)
    done_at_s = dict(zip(by_length, (virtual_s + tokens / rate for tokens in before), strict=True))
    return [done_at_s[index] for index in range(len(num_tokens))]


def find_pressed(
    requests: Iterable[tuple[float, float]], begun_s: float, deadline_s: float
) -> int | None:
    """Find the request that has to go first, so that nobody is late who was let in.

    In order of arrival all of them would be in time, since each was let in behind those before
    (`admission.admit`). Fair order serves them otherwise, as long as that order could still be gone
    back to.

    Args:
        requests: (age, seconds of the engine that it needs) of each that waits, oldest first.
        begun_s: seconds of the engine for what runs.
        deadline_s: the age at which a request is given up.

    Returns:
        The index of the oldest that can still be in time, if it or any behind it is pressed.

    Source: Liu and Layland 1973, Scheduling algorithms for multiprogramming in a hard-real-time
    environment: what can be done in time at all is, with the earliest deadline first.
    """
    first, before_s = None, begun_s
    for index, (age_s, needed_s) in enumerate(requests):
        if needed_s > deadline_s - age_s:  # it will be late whoever goes first
            continue
        first = index if first is None else first
        before_s += needed_s
        if is_pressed(age_s, before_s, deadline_s):
            return first
    return None


def is_pressed(age_s: float, needed_s: float, deadline_s: float) -> bool:
    """Tell whether a request could wait no longer, if all that has to be done took so long."""
    return deadline_s - age_s - needed_s < PRESSED_SHARE * deadline_s


def choose_items(num_tokens: Sequence[int], token_budget: int) -> list[int]:
    """Fill a microbatch from a window of waiting items.

    The first item of the window always goes, alone if it is above the budget; the rest are those
    nearest to it in length that fit.

    Args:
        num_tokens: tokens of each item, in order of rank; at least one.
        token_budget: tokens that the microbatch may hold.

    Returns:
        Indices into the window, ascending.
    """
    head = num_tokens[0]
    chosen, total, longest = [0], head, head
    by_likeness = sorted(range(1, len(num_tokens)), key=lambda i: abs(num_tokens[i] - head))
    for index in by_likeness:
        size = num_tokens[index]
        rectangle = (len(chosen) + 1) * max(longest, size)
        if total + size <= token_budget and rectangle <= MAX_PADDING_RATIO * token_budget:
            chosen.append(index)
            total, longest = total + size, max(longest, size)
    return sorted(chosen)


def runs_wide(num_tokens: Sequence[int], num_lanes: int, num_busy: int) -> bool:
    """Decide whether the next microbatch gets every core.

    It does on an idle machine, if what waits is too little or too uneven to keep all lanes busy.
    Otherwise one microbatch a core is faster.

    Args:
        num_tokens: tokens of each waiting item, at least one.
        num_lanes: cores.
        num_busy: lanes that run something.
    """
    if num_busy or num_lanes == 1:
        return num_busy == 0
    even_part = sum(num_tokens) / num_lanes
    return even_part < MIN_LANE_TOKENS or max(num_tokens) > MAX_IMBALANCE * even_part


def hangs(running_s: float, expected_s: float, deadline_s: float) -> bool:
    """Decide whether a microbatch has taken so long that another thread gets its lane.

    Args:
        running_s: how long it has been running.
        expected_s: how long it should on one lane; 0 if nobody knows.
        deadline_s: how long a request may take.
    """
    return running_s > max(HANGS_SHARE * deadline_s, HANGS_TIMES * expected_s)


def tells_rate(num_tokens: int, *, is_express: bool) -> bool:
    """Tell whether a microbatch shows how fast the engine is on work that has to wait.

    A lone query reaches half of the rate, and on the express lane it has but part of a core; after
    some of those a busy hour's work would be refused that the engine does in time.
    """
    return num_tokens >= MIN_SHARE_TOKENS and not is_express
