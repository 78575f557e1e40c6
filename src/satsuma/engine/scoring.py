"""How well texts go with a query: from a classifier's logits, or from vectors. Pure numpy.

B texts, H hidden size.
"""

from __future__ import annotations

import numpy as np

from satsuma.engine.pooling import l2_normalize
from satsuma.types import FloatArray


def logistic(logits: FloatArray) -> FloatArray:
    """Map a classifier's logits onto 0 to 1; what is higher stays higher.

    Args:
        logits: (B, 1) float32.

    Returns:
        (B, 1) float32.

    Source: https://huggingface.co/BAAI/bge-reranker-base, "mapped to a float value in [0,1]".
    """
    exact = np.clip(logits.astype(np.float64), -700.0, 700.0)  # beyond it, exp overflows
    scores: FloatArray = (1.0 / (1.0 + np.exp(-exact))).astype(np.float32)
    return scores  # (B, 1)


def cosines(vectors: FloatArray) -> FloatArray:
    """Compare the first vector, the query's, with each of the others.

    Args:
        vectors: (1 + B, H) float32, of any length.

    Returns:
        (B, 1) float32, from -1 to 1.
    """
    unit = l2_normalize(vectors).astype(np.float64)  # (1 + B, H)
    # A product of matrices would round a row by how many there are.
    scores: FloatArray = (unit[1:] * unit[0]).sum(axis=1, keepdims=True).astype(np.float32)
    return scores  # (B, 1)
