"""The tensors of a checkpoint in their roles, and what is folded into them before they are packed.

Knows names and shapes; does not know where the values come from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from satsuma.errors import UnsupportedModelError
from satsuma.types import FloatArray

_SUPPORTED_DTYPES = ("F32", "F16", "BF16")

# Tensor name -> float32 array, as Hugging Face stores it.
ReadTensor: TypeAlias = Callable[[str], FloatArray]


@dataclass(frozen=True, slots=True)
class TensorHeader:
    """What a safetensors header says of a tensor."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor of the checkpoint in its role, and the constants that are folded into it.

    Attributes:
        name: in the checkpoint.
        shape: as config.json asks for.
        times: every value is multiplied by it.
        plus: and this is added.
        rows: the part that plays the role, from the first to before the end; None for all.
    """

    name: str
    shape: tuple[int, ...]
    times: float = 1.0
    plus: float = 0.0
    rows: tuple[int, int] | None = None

    def read(self, read: ReadTensor) -> FloatArray:
        """Read it with its constants: float32 of `shape`, or its part of the rows."""
        values = read(self.name)
        if self.rows:
            values = values[slice(*self.rows)]
        if self.plus:
            values = values + np.float32(self.plus)
        return values if self.times == 1.0 else values * np.float32(self.times)


@dataclass(frozen=True, slots=True)
class Linear:
    """A linear layer: weight (N, K) and bias (N,).

    Attributes:
        weight: of the layer.
        bias: None for none.
        before: a layer that comes before it with nothing between them; both are packed as one.
    """

    weight: Tensor
    bias: Tensor | None = None
    before: Linear | None = None

    @classmethod
    def named(cls, name: str, out_width: int, in_width: int) -> Linear:
        """Name a layer's tensors as PyTorch does: `<name>.weight` (N, K) and `<name>.bias` (N,)."""
        unbiased = cls.unbiased(name, out_width, in_width)
        return replace(unbiased, bias=Tensor(f"{name}.bias", (out_width,)))

    @classmethod
    def unbiased(cls, name: str, out_width: int, in_width: int) -> Linear:
        """Name the tensor of a layer that has a weight alone."""
        return cls(Tensor(f"{name}.weight", (out_width, in_width)))

    @classmethod
    def joined(cls, name: str, hidden: int, times: float) -> tuple[Linear, Linear]:
        """Split a tensor (3H, H) of queries, keys and values, which have no bias.

        Args:
            name: of the layer.
            hidden: H.
            times: the queries are multiplied by it.

        Returns:
            The queries' part (H, H), and the others' (2H, H).
        """
        weight, shape = f"{name}.weight", (3 * hidden, hidden)
        query = Tensor(weight, shape, times, rows=(0, hidden))
        return cls(query), cls(Tensor(weight, shape, rows=(hidden, 3 * hidden)))

    def read(self, read: ReadTensor) -> tuple[FloatArray, FloatArray]:
        """Read weight (N, K) and bias (N,), a missing one as zeros."""
        weight = self.weight.read(read)
        bias = np.zeros(len(weight), np.float32) if self.bias is None else self.bias.read(read)
        if self.before is None:
            return weight, bias
        earlier, offset = self.before.read(read)
        wide = weight.astype(np.float64)  # (N, M) @ (M, K) -> (N, K)
        joined, shifted = wide @ earlier.astype(np.float64), wide @ offset.astype(np.float64)
        return joined.astype(np.float32), (shifted + bias).astype(np.float32)

    def scaled(self, times: float) -> Linear:
        """Give the layer whose outputs are so many times as large."""
        bias = replace(self.bias, times=times) if self.bias else None
        return replace(self, weight=replace(self.weight, times=times), bias=bias)

    @property
    def tensors(self) -> Iterator[Tensor]:
        """Everything that it reads."""
        yield self.weight
        yield from [self.bias] if self.bias else []
        yield from self.before.tensors if self.before else []

    @property
    def out_width(self) -> int:
        """N."""
        return self.weight.shape[0]


@dataclass(frozen=True, slots=True)
class Norm:
    """A LayerNorm's gain (H,) and bias (H,)."""

    gain: Tensor
    bias: Tensor


@dataclass(frozen=True, slots=True)
class Positions:
    """A table of positions, and what is added to each of its rows.

    Attributes:
        table: (P, H).
        first_row: that of an item's first token.
        token_types: (types, H); every text is of type 0, so that row is a constant.
    """

    table: Tensor
    first_row: int
    token_types: Tensor

    @property
    def tensors(self) -> Iterator[Tensor]:
        """Everything that it reads."""
        yield from (self.table, self.token_types)

    def read(self, read: ReadTensor) -> FloatArray:
        """Read the rows in use: (P - first_row, H)."""
        rows: FloatArray = self.table.read(read)[self.first_row :] + self.token_types.read(read)[0]
        return rows


@dataclass(frozen=True, slots=True)
class TokenType:
    """What is added to each token's word where positions have no table: the same for all.

    Attributes:
        token_types: (types, H); every text is of type 0.
        num_rows: P, of the longest text.
    """

    token_types: Tensor
    num_rows: int

    @property
    def tensors(self) -> Iterator[Tensor]:
        """Everything that it reads."""
        yield self.token_types

    def read(self, read: ReadTensor) -> FloatArray:
        """Read it as a table of positions: (P, H)."""
        return np.tile(self.token_types.read(read)[0], (self.num_rows, 1))


def check_tensor(tensor: Tensor, headers: Mapping[str, TensorHeader]) -> None:
    """Compare a tensor with what the checkpoint has.

    Raises:
        UnsupportedModelError: if it is missing, or of another shape or dtype.
    """
    header = headers.get(tensor.name)
    if header is None:
        raise UnsupportedModelError(f"The weights have no tensor {tensor.name}, which is needed.")
    if header.shape != tensor.shape:
        raise UnsupportedModelError(
            f"Tensor {tensor.name} has shape {header.shape}; config.json asks for {tensor.shape}."
        )
    if header.dtype not in _SUPPORTED_DTYPES:
        raise UnsupportedModelError(
            f"Tensor {tensor.name} is of dtype {header.dtype}; "
            f"supported: {', '.join(_SUPPORTED_DTYPES)}."
        )
