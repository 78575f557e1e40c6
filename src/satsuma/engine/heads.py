"""bge-m3's other two outputs: a weight for each word, and a vector for each token. Pure numpy.

T tokens of one item, H hidden size, K width of a token's vector.

Source: Chen et al. 2024, https://arxiv.org/abs/2402.03216, section 3.1; which tokens count is as in
https://github.com/FlagOpen/FlagEmbedding, the authors' own code.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from satsuma.engine.pickled import PickledTensors
from satsuma.engine.pooling import l2_normalize
from satsuma.errors import UnsupportedModelError
from satsuma.types import FloatArray, IntArray, SparseVector

_SPARSE_FILE, _MULTI_FILE = "sparse_linear.pt", "colbert_linear.pt"


@dataclass(frozen=True, slots=True)
class TokenHeads:
    """Two layers over a token's hidden state.

    Attributes:
        sparse_weight: (1, H).
        sparse_bias: (1,).
        multi_weight: (K, H).
        multi_bias: (K,).
        ignored_ids: tokens that are no words, such as [CLS].
    """

    sparse_weight: FloatArray
    sparse_bias: FloatArray
    multi_weight: FloatArray
    multi_bias: FloatArray
    ignored_ids: frozenset[int]

    def weigh(self, states: FloatArray, token_ids: IntArray) -> SparseVector:
        """Give each word of an item the greatest weight of its tokens; the others are left out.

        Args:
            states: (T, H) float32.
            token_ids: (T,) int64.
        """
        weights = np.maximum(states @ self.sparse_weight[0] + self.sparse_bias, 0.0)  # (T,)
        is_word = ~np.isin(token_ids, list(self.ignored_ids)) & (weights > 0.0)
        indices, places = np.unique(token_ids[is_word], return_inverse=True)
        values = np.zeros(len(indices), np.float32)
        np.maximum.at(values, places, weights[is_word].astype(np.float32))
        return SparseVector(indices, values)

    def spread(self, states: FloatArray) -> FloatArray:
        """Give each token but the first a vector of unit length: (T, H) -> (T - 1, K) float32."""
        return l2_normalize(states[1:] @ self.multi_weight.T + self.multi_bias)


def load_heads(folder: Path, hidden_size: int, ignored_ids: Collection[int]) -> TokenHeads | None:
    """Read a model's heads; None if its folder has none.

    Raises:
        UnsupportedModelError: if a file is damaged, or of another shape.
    """
    if not all((folder / name).is_file() for name in (_SPARSE_FILE, _MULTI_FILE)):
        return None
    sparse = _read_linear(folder / _SPARSE_FILE, hidden_size)
    multi = _read_linear(folder / _MULTI_FILE, hidden_size)
    if len(sparse[0]) != 1:
        raise UnsupportedModelError(f"{folder.name}/{_SPARSE_FILE} has {len(sparse[0])} rows.")
    return TokenHeads(*sparse, *multi, frozenset(ignored_ids))


def _read_linear(path: Path, hidden_size: int) -> tuple[FloatArray, FloatArray]:
    """Read a layer: (K, H) and (K,)."""
    tensors = PickledTensors(path)
    if {"weight", "bias"} - tensors.headers().keys():
        raise UnsupportedModelError(f"{path.parent.name}/{path.name} is no linear layer.")
    weight, bias = tensors.read("weight"), tensors.read("bias")
    if weight.shape != (len(bias), hidden_size):
        message = f"{path.parent.name}/{path.name} has the shape {weight.shape}."
        raise UnsupportedModelError(f"{message} Vectors have {hidden_size} numbers.")
    return weight, bias
