"""bge-m3's other two outputs, as arithmetic, and their files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.pytorch_files import write_tensors

from satsuma.engine.heads import TokenHeads, load_heads
from satsuma.errors import UnsupportedModelError
from satsuma.types import FloatArray

CLS, SEP = 0, 2
HIDDEN, WIDTH = 3, 2
SPARSE = {"weight": np.array([[1, 0, 0]], np.float32), "bias": np.array([0.5], np.float32)}
MULTI = {
    "weight": np.array([[0, 1, 0], [0, 0, 2]], np.float32),
    "bias": np.array([0, 1], np.float32),
}


@pytest.fixture
def heads() -> TokenHeads:
    """Heads that a person can compute."""
    layers = (SPARSE["weight"], SPARSE["bias"], MULTI["weight"], MULTI["bias"])
    return TokenHeads(*layers, frozenset({CLS, SEP}))


def states(*rows: tuple[float, ...]) -> FloatArray:
    """Hidden states, (T, 3)."""
    return np.array(rows, np.float32)


def test_a_word_weighs_what_its_heaviest_token_does(heads: TokenHeads) -> None:
    """Marks are no words, and a word of no weight is left out."""
    ids = np.array([CLS, 9, 7, 9, 5, SEP])
    given = states((9, 0, 0), (1, 0, 0), (0, 0, 0), (3, 0, 0), (-4, 0, 0), (9, 0, 0))
    sparse = heads.weigh(given, ids)
    assert sparse.indices.tolist() == [7, 9]
    assert sparse.values.tolist() == [0.5, 3.5]
    assert sparse.values.dtype == np.float32


def test_each_token_but_the_first_has_a_vector(heads: TokenHeads) -> None:
    """Of unit length."""
    vectors = heads.spread(states((9, 9, 9), (0, 3, 1.5), (0, 0, 0)))
    np.testing.assert_allclose(vectors, [[0.6, 0.8], [0.0, 1.0]], atol=1e-6)
    assert vectors.dtype == np.float32


def test_heads_are_read_from_pytorchs_files(tmp_path: Path) -> None:
    """Where both are there."""
    assert load_heads(tmp_path, HIDDEN, ()) is None
    write_tensors(tmp_path / "sparse_linear.pt", SPARSE)
    assert load_heads(tmp_path, HIDDEN, ()) is None
    write_tensors(tmp_path / "colbert_linear.pt", MULTI)
    heads = load_heads(tmp_path, HIDDEN, (CLS,))
    assert heads is not None
    np.testing.assert_array_equal(heads.sparse_weight, SPARSE["weight"])
    np.testing.assert_array_equal(heads.multi_weight, MULTI["weight"])
    np.testing.assert_array_equal(heads.multi_bias, MULTI["bias"])
    assert heads.ignored_ids == {CLS}


@pytest.mark.parametrize(
    ("sparse", "message"),
    [
        ({"weight": SPARSE["weight"]}, "is no linear layer"),
        (MULTI, "has 2 rows"),
        (SPARSE | {"weight": np.ones((1, 4), np.float32)}, r"shape \(1, 4\).*3 numbers"),
    ],
)
def test_other_layers_are_refused(
    tmp_path: Path, sparse: dict[str, FloatArray], message: str
) -> None:
    """Named, with what is wrong."""
    write_tensors(tmp_path / "sparse_linear.pt", sparse)
    write_tensors(tmp_path / "colbert_linear.pt", MULTI)
    with pytest.raises(UnsupportedModelError, match=message):
        load_heads(tmp_path, HIDDEN, ())
