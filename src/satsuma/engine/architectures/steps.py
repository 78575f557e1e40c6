"""What an encoder can compute, step by step: the words in which a family's file describes it.

Each is a record; `native/program.py` turns it into a step of the kernels. Buffers have names. T
tokens, H hidden size, F intermediate size, D width of a head.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

import numpy as np

from satsuma.engine.architectures.tensors import Linear, Positions, Tensor, TokenType
from satsuma.types import FloatArray


@dataclass(frozen=True, slots=True)
class Embed:
    """Look up each token's word, and add its position: (T) -> (T, H)."""

    words: Tensor  # (V, H)
    output: str
    positions: Positions | TokenType | None = None

    @property
    def tensors(self) -> Iterator[Tensor]:
        """Everything that it reads."""
        yield self.words
        yield from self.positions.tensors if self.positions else ()


@dataclass(frozen=True, slots=True)
class LayerNorm:
    """(x - mean) / sqrt(variance + epsilon) * gain + bias, along a row."""

    gain: Tensor
    bias: Tensor | None
    epsilon: float
    input: str
    output: str

    @property
    def tensors(self) -> Iterator[Tensor]:
        """Everything that it reads."""
        yield from [self.gain, self.bias] if self.bias else [self.gain]


@dataclass(frozen=True, slots=True)
class RmsNorm:
    """x / sqrt(mean of squares + epsilon) * gain, along each part of a row.

    Attributes:
        gains: of each part, from the row's left; what follows them is left alone.
        residual: a buffer that is added.
    """

    gains: tuple[Tensor, ...]
    epsilon: float
    input: str
    output: str
    residual: str | None = None

    @property
    def tensors(self) -> Iterator[Tensor]:
        """Everything that it reads."""
        yield from self.gains


@dataclass(frozen=True, slots=True)
class Product:
    """Linear layers side by side: activation(x W + b) + residual, (T, K) -> (T, sum of N).

    Attributes:
        is_exact: stays in float32 where the model is packed in int8.
    """

    linears: tuple[Linear, ...]
    input: str
    output: str
    activation: str = "identity"
    residual: str | None = None
    is_exact: bool = False

    @property
    def tensors(self) -> Iterator[Tensor]:
        """Everything that it reads."""
        for linear in self.linears:
            yield from linear.tensors


@dataclass(frozen=True, slots=True)
class Rotate:
    """Turn each pair of a head's coordinates by its token's position, in place.

    Attributes:
        num_heads: heads at the row's left.
        head_width: D; coordinate k goes with k + D / 2.
        theta: base of the angles.
        max_positions: longest item.

    Source: Su et al. 2021, https://arxiv.org/abs/2104.09864
    """

    tensors: ClassVar[tuple[Tensor, ...]] = ()

    num_heads: int
    head_width: int
    theta: float
    max_positions: int
    buffer: str

    def read(self) -> FloatArray:
        """Compute the cosines, then the sines, of each position: (P, D).

        The angles are rounded to float32 where transformers rounds them: at position 8,000 that
        shows in a cosine's fourth place.
        """
        exponents = np.arange(0, self.head_width, 2, dtype=np.float32) / np.float32(self.head_width)
        frequencies = np.float32(1) / np.float32(self.theta) ** exponents  # (D / 2,)
        places = np.arange(self.max_positions, dtype=np.float32)
        angles = (places[:, None] * frequencies).astype(np.float64)  # (P, D / 2)
        return np.concatenate([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Attend:
    """Attention within each item: rows of queries, keys and values -> (T, heads * D).

    The queries come divided by whatever the family divides its scores by.

    Attributes:
        num_kv_heads: heads of the keys and of the values; each serves as many heads of queries.
        head_width: D.
        is_causal: a token sees nothing behind it.
        window: it sees tokens nearer than this; 0 for all.
    """

    tensors: ClassVar[tuple[Tensor, ...]] = ()

    num_heads: int
    num_kv_heads: int
    head_width: int
    input: str
    output: str
    is_causal: bool = False
    window: int = 0


@dataclass(frozen=True, slots=True)
class Gate:
    """activation(left half) * right half, into the left half: (T, 2F) -> (T, F)."""

    tensors: ClassVar[tuple[Tensor, ...]] = ()

    width: int  # F
    activation: str
    buffer: str


Step: TypeAlias = Embed | LayerNorm | RmsNorm | Product | Rotate | Attend | Gate
