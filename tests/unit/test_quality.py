"""Figures of agreement, and the files that they are computed on."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from satsuma.engine.load import load_model
from satsuma.errors import ConfigurationError
from satsuma.quality import (
    average_ranks,
    compare_vectors,
    embed_all,
    read_pairs,
    read_texts,
    spearman,
)
from satsuma.settings import load_settings
from satsuma.store.manifest import ModelFiles

PAIRS = (
    "split\tscore\tsentence1\tsentence2\n"
    "test\t4.5\tA cat.\tOne cat.\ntest\t1\tA dog.\tTwo cats.\ntrain\t1\tx\ty\n"
)


def unit(*rows: tuple[float, float]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Rows of length 1."""
    values = np.array(rows, np.float32)
    scaled: np.ndarray[tuple[int, int], np.dtype[np.float32]] = values / np.linalg.norm(
        values, axis=1, keepdims=True
    )
    return scaled


def test_equal_ranks_share_their_mean() -> None:
    """As Spearman's correlation wants it."""
    values = np.array([3, 1, 3, 2], np.float32)
    np.testing.assert_array_equal(average_ranks(values), [3.5, 1, 3.5, 2])


def test_agreement_of_known_angles() -> None:
    """One text at 0 degrees, one at 60."""
    one, other = unit((1, 0), (1, 0)), unit((1, 0), (1, 3**0.5))
    agreement = compare_vectors(one, other)
    assert agreement.num_texts == 2
    assert agreement.mean == pytest.approx(0.75)
    assert agreement.minimum == pytest.approx(0.5)
    assert agreement.first_percentile == pytest.approx(0.505)


def test_spearman_follows_order_alone() -> None:
    """Any rising relation is 1, a falling one -1."""
    first = unit((1, 0), (1, 0), (1, 0))
    second = unit((1, 0), (1, 1), (0, 1))
    rising = np.array([100, 3, 2], np.float32)
    assert spearman(first, second, rising) == pytest.approx(1)
    assert spearman(first, second, -rising) == pytest.approx(-1)


def test_all_texts_come_back_in_their_order(all_minilm_files: ModelFiles) -> None:
    """However they are grouped."""
    model = load_model(all_minilm_files, load_settings({"threads": 1}, environ={}))
    texts = ["a long text about rivers and mountains " * 4, "short", "a middling text of words"]
    done: list[int] = []
    vectors = embed_all(model, texts, 16, done.append)
    assert sum(done) == 3
    for text, vector in zip(texts, vectors, strict=True):
        np.testing.assert_array_equal(model.embed_one(text, model.pooling), vector)


def test_texts_are_read_as_a_server_reads_them(all_minilm_files: ModelFiles) -> None:
    """Behind the prompt that is usual with the model."""
    model = load_model(all_minilm_files, load_settings({"threads": 1}, environ={}))
    prompted = replace(model, default_prompt="query: ")
    np.testing.assert_array_equal(
        embed_all(prompted, ["a river"], 16)[0], model.embed_one("query: a river", model.pooling)
    )


@pytest.mark.parametrize("name", ["pairs.tsv", "pairs.tsv.gz"])
def test_pairs_of_the_test_split_are_read(tmp_path: Path, name: str) -> None:
    """Gzipped or not."""
    path = tmp_path / name
    path.write_bytes(gzip.compress(PAIRS.encode()) if name.endswith("gz") else PAIRS.encode())
    pairs = read_pairs(path)
    assert (list(pairs.first), list(pairs.second)) == (
        ["A cat.", "A dog."],
        ["One cat.", "Two cats."],
    )
    assert pairs.scores.tolist() == [4.5, 1]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"score\tsentence1\n1\tx\n",
        b"score\tsentence1\tsentence2\nx\ta\tb\n",
        b"score\tsentence1\tsentence2\n2\td\n",
        b"\xff\xfe\x00",
    ],
)
@pytest.mark.parametrize("name", ["pairs.tsv", "pairs.tsv.gz"])
def test_what_is_no_file_of_pairs_says_what_is(tmp_path: Path, name: str, content: bytes) -> None:
    """The columns are named."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"score, sentence1, sentence2|needs two rows"):
        read_pairs(tmp_path / name)


def test_empty_lines_are_no_texts(tmp_path: Path) -> None:
    """And a file of them is refused."""
    path = tmp_path / "texts"
    path.write_text("one\n\n  \ntwo\n")
    assert read_texts(path) == ["one", "two"]
    path.write_text("\n")
    with pytest.raises(ConfigurationError, match="has no text"):
        read_texts(path)
    path.write_bytes(b"\xff")
    with pytest.raises(ConfigurationError, match="UTF-8"):
        read_texts(path)
