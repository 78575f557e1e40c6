"""A token budget found by measuring, on encoders whose speed is known."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from satsuma.engine.budget import SIZES, find_token_budget
from satsuma.engine.fake import FakeEncoder
from satsuma.engine.protocol import Microbatch, Width
from satsuma.types import FloatArray

ITEM = np.arange(128)


class _Card(FakeEncoder):
    """An encoder that takes so long to start, and so many tokens a second after that."""

    def __init__(self, start_s: float, tokens_per_s: float, most_tokens: int = 10**9) -> None:
        super().__init__()
        self.now_s = 0.0
        self.start_s, self.tokens_per_s, self.most_tokens = start_s, tokens_per_s, most_tokens

    def encode(self, microbatch: Microbatch, width: Width) -> FloatArray:
        """Take the time; what does not fit is done in pieces, at many times the cost."""
        del width
        num_tokens = len(microbatch.token_ids)
        self.runs.append((microbatch.lengths.tolist(), Width.ONE_LANE))
        penalty = 5 if num_tokens > self.most_tokens else 1
        self.now_s += self.start_s + penalty * num_tokens / self.tokens_per_s
        return np.zeros((num_tokens, 4), np.float32)


@pytest.mark.parametrize(
    ("start_s", "expected"), [(0.0, 1024), (0.001, 4096), (0.002, 8192), (0.1, 65_536)]
)
def test_it_is_the_smallest_that_is_nearly_as_fast_as_any(start_s: float, expected: int) -> None:
    """Larger ones would make everybody wait longer for nothing."""
    card = _Card(start_s, tokens_per_s=200_000)
    num_tokens, spent_s = find_token_budget(card, ITEM, clock=lambda: card.now_s)
    assert num_tokens == expected
    assert spent_s == pytest.approx(start_s + expected / 200_000)


def test_what_does_not_fit_ends_the_search() -> None:
    """Halves of it would be measured from there on."""
    card = _Card(0.1, tokens_per_s=200_000, most_tokens=4096)
    assert find_token_budget(card, ITEM, clock=lambda: card.now_s)[0] == 4096
    assert max(sum(lengths) for lengths, _ in card.runs) == 8192


class _CuttingCard(_Card):
    """One that says so, and is no slower for it."""

    num_cuts = 0
    num_freed = 0
    trouble = ""

    def encode(self, microbatch: Microbatch, width: Width) -> FloatArray:
        """Count what does not fit."""
        self.num_cuts += len(microbatch.token_ids) > self.most_tokens
        self.most_tokens, most = 10**9, self.most_tokens
        states = super().encode(microbatch, width)
        self.most_tokens = most
        return states

    def free_memory(self) -> None:
        """Count it."""
        self.num_freed += 1


@pytest.mark.parametrize(("most_tokens", "expected"), [(4096, 4096), (100, 1024)])
def test_what_is_cut_ends_the_search(most_tokens: int, expected: int) -> None:
    """Even if halves are fast here, there is no room for them beside another lane."""
    card = _CuttingCard(0.1, tokens_per_s=200_000, most_tokens=most_tokens)
    assert find_token_budget(card, ITEM, clock=lambda: card.now_s)[0] == expected
    assert max(sum(lengths) for lengths, _ in card.runs) == max(1024, 2 * most_tokens)


def test_what_the_largest_sizes_took_is_given_back() -> None:
    """Nobody may want as much again."""
    card = _CuttingCard(0.001, tokens_per_s=200_000)
    find_token_budget(card, ITEM, clock=lambda: card.now_s)
    assert card.num_freed == 1


def test_a_long_item_is_measured_alone() -> None:
    """A microbatch holds one item at least."""
    card = _Card(0.0, tokens_per_s=200_000)
    assert find_token_budget(card, np.arange(2000), clock=lambda: card.now_s)[0] == 2000


def test_sizes_double() -> None:
    """So that a few runs are enough."""
    assert all(after == 2 * before for before, after in itertools.pairwise(SIZES))
