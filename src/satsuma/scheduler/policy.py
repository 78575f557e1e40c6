"""Who runs next, with whom, and on how many cores: plain arithmetic on token counts.

Knows no clock, thread, tensor or encoder; `scheduler.py` drives it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

# What an encoder is taken to do before its rate was ever measured.
UNMEASURED_TOKENS_PER_S = 1024.0

# One microbatch in so many goes to the request that has waited longest, whatever ranks before it:
# a flood of short texts leaves long ones a quarter of the engine.
OLDEST_EVERY = 4

# Attention pays for the rectangle of a microbatch's items by its longest one. Twice the budget
# keeps that under a seventh of the work, even where short items ride with long ones.
MAX_PADDING_RATIO = 2

# One core works well from this many tokens on; with less, splitting costs more than it saves.
MIN_LANE_TOKENS = 32

# While other lanes are busy there is no hurry to spread work thinly: from here on a microbatch
# runs at the full rate (docs/log.md).
MIN_SHARE_TOKENS = 128

# Splitting is not worth it where one lane would get this much more than its even part.
MAX_IMBALANCE = 1.5


def ranks(num_tokens: Sequence[int], virtual_s: float, rate_tokens_per_s: float) -> list[float]:
    """Order of service of a request's items, among those of all requests: lowest first.

    Every request that waits gets an equal part of the engine, so that a query does not wait for
    somebody else's thousand texts. An item's rank is the moment, in the engine's own time, at which
    it would be done if its request had begun at once and had the engine to itself, short items
    first. A rank never changes, so a queue can keep itself sorted.

    Args:
        num_tokens: tokens of each item.
        virtual_s: the engine's own time: the rank of what was last taken.
        rate_tokens_per_s: the encoder's; 0 before it was measured.

    Returns:
        A rank for each item.

    Source: Golestani 1994, A self-clocked fair queueing scheme for broadband applications.
    """
    rate = rate_tokens_per_s or UNMEASURED_TOKENS_PER_S
    by_length = sorted(range(len(num_tokens)), key=num_tokens.__getitem__)
    before = itertools.accumulate(num_tokens[index] for index in by_length)
    done_at_s = dict(zip(by_length, (virtual_s + tokens / rate for tokens in before), strict=True))
    return [done_at_s[index] for index in range(len(num_tokens))]


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


def share_budget(waiting_tokens: int, token_budget: int, num_lanes: int, num_busy: int) -> int:
    """Leave the other lanes their part of what waits, so that all end together.

    As the queue runs dry, microbatches get smaller: the lane that is free first takes the next.

    Returns:
        Tokens for the next microbatch, at most the budget.
    """
    part = -(-waiting_tokens // num_lanes)
    return min(token_budget, max(part, MIN_SHARE_TOKENS if num_busy else MIN_LANE_TOKENS))
