"""What is measured: named lists of texts of exact token lengths, and the arithmetic they need.

Only real tokens count; an engine that pads does more work for the same workload, and gets no
credit for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from satsuma.bench.random_model import ModelShape

NUM_SPECIAL_TOKENS = 2  # [CLS] and [SEP]

# Each is one token of bert-base-uncased's vocabulary.
_WORDS_TEXT = """
orange fruit tree garden river mountain city house window door table light water fire stone
bread milk sugar winter summer morning evening night music paper book letter word story
teacher student doctor farmer sailor captain queen king child mother father brother sister
horse bird fish ship train road bridge market village island ocean forest field flower
green yellow white black small large early late warm cold quiet bright
"""
WORDS = tuple(_WORDS_TEXT.split())


@dataclass(frozen=True, slots=True)
class Workload:
    """One request's worth of texts.

    Attributes:
        name: such as `32x128`, 32 texts of 128 tokens.
        lengths: tokens of each text, [CLS] and [SEP] included.
    """

    name: str
    lengths: tuple[int, ...]

    @property
    def num_tokens(self) -> int:
        """Tokens of all texts."""
        return sum(self.lengths)

    def texts(self, variant: int = 0) -> list[str]:
        """Build texts of exactly these lengths; another variant has other words."""
        words = np.random.default_rng([variant, self.num_tokens])
        return [_text(length, words) for length in self.lengths]


def _uniform(num_texts: int, length: int) -> Workload:
    return Workload(f"{num_texts}x{length}", (length,) * num_texts)


def _mixed(num_texts: int, shortest: int, longest: int) -> Workload:
    """Spread lengths evenly over a range, in a fixed shuffled order."""
    lengths = np.linspace(shortest, longest, num_texts).round().astype(int)
    order = np.random.default_rng(0).permutation(num_texts)
    return Workload("mixed", tuple(int(length) for length in lengths[order]))


LONE = _uniform(1, 10)
MIXED = _mixed(32, 8, 255)
WORKLOADS: dict[str, Workload] = {
    workload.name: workload
    for workload in (
        LONE,
        _uniform(3, 11),
        _uniform(16, 32),
        _uniform(100, 32),
        _uniform(32, 128),
        _uniform(8, 512),
        MIXED,
    )
}


def _text(length: int, words: np.random.Generator) -> str:
    chosen = words.integers(len(WORDS), size=length - NUM_SPECIAL_TOKENS)
    return " ".join(WORDS[index] for index in chosen)


def text_flops(shape: ModelShape, length: int) -> int:
    """Count the additions and multiplications that one text needs.

    Per layer and token, the matrix products take 2 * (4*H*H + 2*H*F): query, key, value, output,
    and the two of the feed-forward. Attention takes 4 * L * H: each token's scores against L keys
    and the sum over L values. Embeddings, LayerNorm, GELU, softmax and pooling are not counted.

    Args:
        shape: H is its hidden size, F its intermediate size.
        length: L, tokens of the text.
    """
    hidden = shape.hidden_size
    products = 2 * (4 * hidden * hidden + 2 * hidden * shape.intermediate_size)
    attention = 4 * length * hidden
    return shape.num_layers * length * (products + attention)


def workload_flops(shape: ModelShape, lengths: Sequence[int]) -> int:
    """Count the additions and multiplications that texts of these lengths need."""
    return sum(text_flops(shape, length) for length in lengths)
