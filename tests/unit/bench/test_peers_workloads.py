"""What the contenders embed."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import pytest

from satsuma.bench.peers.errors import PeerError
from satsuma.bench.peers.workloads import (
    NAMES,
    STSB_TEXTS,
    build_workload,
    long_tail_lengths,
    read_stsb,
    stsb_lengths,
)
from satsuma.bench.random_model import find_tokenizer_json
from satsuma.engine.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    """Load the real tokenizer, without a limit that could hide a wrong length."""
    return Tokenizer(find_tokenizer_json(), max_tokens=1024)


def count_words(texts: Sequence[str]) -> list[int]:
    """Stand in for a tokenizer."""
    return [len(text.split()) for text in texts]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("max_tokens", [256, 512])
def test_texts_have_the_lengths_that_are_counted(
    name: str, max_tokens: int, tokenizer: Tokenizer
) -> None:
    """Every text has its exact length, and none is too long for the model."""
    workload = build_workload(name, max_tokens, None, count_words)
    for texts in (workload.variants[0], workload.variants[-1]):
        assert [len(one) for one in tokenizer.tokenize(texts)] == list(workload.lengths)
    assert max(workload.lengths) <= max_tokens


def test_a_shorter_limit_shows_in_the_name() -> None:
    """A model of 256 tokens gets 8 texts of 256."""
    assert build_workload("8x512", 256, None, count_words).name == "8x256"
    assert build_workload("8x512", 512, None, count_words).name == "8x512"


@pytest.mark.parametrize("max_tokens", [256, 512])
def test_long_tail_is_short_texts_and_a_few_long_ones(max_tokens: int) -> None:
    """Half are of 25 tokens at most, the longest is at the limit, and the order is mixed."""
    lengths = long_tail_lengths(max_tokens)
    assert median(lengths) == pytest.approx(25, abs=1)
    assert max(lengths) == max_tokens
    assert min(lengths) >= 3
    assert list(lengths) != sorted(lengths)
    assert long_tail_lengths(max_tokens) == lengths


def test_made_up_lengths_are_stsbs() -> None:
    """Median 12 or 13 tokens, mean 14, none beyond STS-B's own."""
    lengths = stsb_lengths()
    assert len(lengths) == STSB_TEXTS
    assert median(lengths) in {12, 13}
    assert sum(lengths) / len(lengths) == pytest.approx(14, abs=0.3)
    assert (min(lengths), max(lengths)) == pytest.approx((5, 40), abs=6)


@pytest.fixture
def stsb(tmp_path: Path) -> Path:
    """Write a small file of STS-B's form."""
    path = tmp_path / "stsbenchmark.tsv.gz"
    rows = (
        "split\tscore\tsentence1\tsentence2",
        "train\t1\tnot this\tnor this",
        'test\t1\tA "quoted" one.\tTwo.',
        "test\t1\tThree is it.\tFour",
    )
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.write("\n".join(rows) + "\n")
    return path


def test_stsb_takes_the_test_split(stsb: Path) -> None:
    """Both sentences of a pair, quotes as they are."""
    assert read_stsb(stsb) == ['A "quoted" one.', "Two.", "Three is it.", "Four"]


@pytest.mark.parametrize(
    "content",
    [
        b"split\tscore",  # not compressed
        gzip.compress(b"a\tb\n1\t2\n"),  # other columns
        gzip.compress(b"split\tsentence1\tsentence2\ntrain\ta\tb\n"),  # no test split
        gzip.compress(b"split\tsentence1\tsentence2\ntest\ta\n"),  # a sentence is missing
        gzip.compress(b"split\tsentence1\tsentence2\ntest\ta\t\xff\n"),  # not UTF-8
        gzip.compress(b"split")[:-4],  # cut
    ],
)
def test_another_file_is_told(tmp_path: Path, content: bytes) -> None:
    """By its name, in a sentence."""
    path = tmp_path / "other.gz"
    path.write_bytes(content)
    with pytest.raises(PeerError, match=r"other\.gz is no stsbenchmark"):
        read_stsb(path)


def test_stsb_is_counted_by_the_models_tokenizer(stsb: Path) -> None:
    """Its texts were not made to a length."""
    workload = build_workload("stsb", 512, stsb, count_words)
    assert workload.lengths == (3, 1, 3, 1)
    assert workload.num_tokens == 8
    assert "test split" in workload.about
