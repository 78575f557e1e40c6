"""Scores of texts beside a query, as arithmetic."""

from __future__ import annotations

import numpy as np
import pytest

from satsuma.engine.scoring import cosines, logistic


def test_logits_become_scores_from_0_to_1() -> None:
    """Published logits, and ones so large that a plain exponential would overflow."""
    logits = np.array([[6.15733337], [-3.65939403], [0.0], [1e30], [-1e30]], np.float32)
    scores = logistic(logits)
    assert scores.dtype == np.float32
    assert scores.shape == (5, 1)
    np.testing.assert_allclose(scores[:, 0], [0.9978866, 0.0251018, 0.5, 1.0, 0.0], atol=1e-6)


def test_vectors_of_any_length_are_compared_by_their_angle() -> None:
    """With the first, which is the query's."""
    vectors = np.array([[2, 0], [3, 0], [0, 5], [-1, 0], [1, 1], [0, 0]], np.float32)
    scores = cosines(vectors)
    assert scores.shape == (5, 1)
    assert scores[:, 0] == pytest.approx([1.0, 0.0, -1.0, 0.5**0.5, 0.0])
