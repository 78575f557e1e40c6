"""Who runs next, with whom, and on how many cores: plain arithmetic on token counts.

Knows no clock, thread, tensor or encoder; `scheduler.py` drives it.
"""

from __future__ import annotations

from collections.abc import Sequence

# A waiting item gains on newcomers by this many tokens of length a second: a text of 512 tokens
# that has waited 0.5 s goes before a new one of 1 token, so that nothing starves.
AGEING_TOKENS_PER_S = 1024.0

# Attention pays for the rectangle of a microbatch's items by its longest one. Twice the budget
# keeps that under a seventh of the work, even where short items ride with long ones.
MAX_PADDING_RATIO = 2

# Below this, splitting work over lanes costs more than the parallel run saves.
MIN_SHARE_TOKENS = 128


def rank(num_tokens: int, arrived_at_s: float) -> float:
    """Order of service: lowest first. Short goes before long, and waiting makes up for length.

    Every item ages at the same rate, so a rank never changes and a queue can keep itself sorted.
    """
    return arrived_at_s + num_tokens / AGEING_TOKENS_PER_S


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


def runs_wide(waiting_tokens: int, token_budget: int, num_lanes: int, num_busy: int) -> bool:
    """Decide whether the next microbatch gets every core.

    Little work on an idle machine does: it is done soonest that way. As soon as there is enough
    for the lanes, one microbatch a core is faster.
    """
    return num_busy == 0 and (num_lanes == 1 or waiting_tokens * 2 <= token_budget * num_lanes)


def share_budget(waiting_tokens: int, token_budget: int, num_free_lanes: int) -> int:
    """Split what waits evenly over the free lanes, so that they end together.

    Returns:
        Tokens for the next microbatch, at most the budget.
    """
    share = -(-waiting_tokens // num_free_lanes)
    return min(token_budget, max(share, MIN_SHARE_TOKENS))
