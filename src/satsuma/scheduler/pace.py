"""How large microbatches are: what an encoder wants, and what is left for the other lanes.

Plain arithmetic on token counts, as in `policy.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

# One core works well from this many tokens on; with less, splitting costs more than it saves.
MIN_LANE_TOKENS = 32

# While other lanes are busy there is no hurry to spread work thinly: from here on a microbatch
# runs at the full rate (docs/log.md).
MIN_SHARE_TOKENS = 128

# A microbatch of background work: whoever comes waits for one of them at most, and from 128 tokens
# on they run at the full rate (docs/log.md).
MAX_BACKGROUND_TOKENS = 256

# How many waiting items a microbatch is chosen from, at least.
WINDOW_ITEMS = 128

# On a card, parts of the budget that run at nearly its rate, that background work may have, and
# that make a window: texts have eight tokens or more.
_CARD_LEAST, _CARD_BACKGROUND, _CARD_WINDOW = 4, 2, 8


@dataclass(frozen=True, slots=True)
class Pace:
    """What microbatches an encoder wants, in tokens; the usual numbers are those of cores.

    Attributes:
        budget: of one microbatch; a longer item runs alone.
        least: with less, splitting costs more than it saves.
        full: from here on one runs at the full rate.
        background: of background work.
        window_items: how many waiting items one is chosen from.
        runs_wide: whether one run may have what all lanes have.
    """

    budget: int
    least: int = MIN_LANE_TOKENS
    full: int = MIN_SHARE_TOKENS
    background: int = MAX_BACKGROUND_TOKENS
    window_items: int = WINDOW_ITEMS
    runs_wide: bool = True


def choose_pace(budget: int, *, is_on_cards: bool) -> Pace:
    """Give the pace of cores, or of a card: it wants much at once, and all runs share it alike."""
    if not is_on_cards:
        return Pace(budget)
    return Pace(
        budget=budget,
        least=budget // _CARD_LEAST,
        full=budget // _CARD_LEAST,
        background=budget // _CARD_BACKGROUND,
        window_items=max(WINDOW_ITEMS, budget // _CARD_WINDOW),
        runs_wide=False,
    )


def share_budget(waiting_tokens: int, running_tokens: int, pace: Pace, num_lanes: int) -> int:
    """Leave the other lanes their part of what waits, so that all end together.

    As the queue runs dry, microbatches get smaller: the lane that is free first takes the next.
    Where little waits and runs in all, as with ten clients, a lane takes an even part of both, so
    that lanes do not fall into turns of one text and nine.

    Args:
        waiting_tokens: of all that wait.
        running_tokens: of what the other lanes have in hand.
        pace: the encoder's.
        num_lanes: cores.

    Returns:
        Tokens for the next microbatch, at most the budget.
    """
    part = -(-waiting_tokens // num_lanes)
    even_part = -(-(waiting_tokens + running_tokens) // num_lanes)
    return min(pace.budget, max(part, pace.least, min(pace.full, even_part)))


def background_pace(pace: Pace) -> Pace:
    """Give the pace of background work."""
    return replace(pace, budget=min(pace.budget, pace.background))
