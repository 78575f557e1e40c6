"""How close one precision's vectors are to another's, on texts that somebody supplies.

Pure figures, and the one function that embeds for them, past any queue.

Source of the method: Spearman's rank correlation of cosine similarities with people's scores, as
MTEB reports STS-B (Muennighoff et al. 2022, https://arxiv.org/abs/2210.07316).
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from satsuma.engine.load import LoadedModel
from satsuma.engine.pooling import pool
from satsuma.engine.protocol import Microbatch, Width
from satsuma.errors import ConfigurationError
from satsuma.types import FloatArray, IntArray

_COLUMNS = ("score", "sentence1", "sentence2")
_FEWEST_SCORES = 2  # without two that differ there is no correlation


@dataclass(frozen=True, slots=True)
class Pairs:
    """Sentence pairs and how alike people found them.

    Attributes:
        first: N sentences.
        second: N sentences.
        scores: (N,) higher is more alike.
    """

    first: Sequence[str]
    second: Sequence[str]
    scores: FloatArray


@dataclass(frozen=True, slots=True)
class Agreement:
    """Cosines between two precisions' vectors of the same texts."""

    num_texts: int
    mean: float
    first_percentile: float
    minimum: float


def compare_vectors(one: FloatArray, other: FloatArray) -> Agreement:
    """Sum up the cosines of two arrays of unit vectors, (N, H) each."""
    cosines = np.einsum("nh,nh->n", one, other, dtype=np.float64)  # (N,)
    low = float(np.percentile(cosines, 1))
    return Agreement(len(cosines), float(cosines.mean()), low, float(cosines.min()))


def spearman(first: FloatArray, second: FloatArray, scores: FloatArray) -> float:
    """Correlate the ranks of the pairs' cosines, of (N, H) unit vectors, with people's scores."""
    cosines = np.einsum("nh,nh->n", first, second)  # (N,)
    return float(np.corrcoef(average_ranks(cosines), average_ranks(scores))[0, 1])


def average_ranks(values: FloatArray) -> FloatArray:
    """Rank values from 1; equal ones share the mean of their ranks: (N,) -> (N,)."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: FloatArray = (last - (counts - 1) / 2)[inverse].astype(np.float32)
    return ranks


def embed_all(
    model: LoadedModel,
    texts: Sequence[str],
    token_budget: int,
    advance: Callable[[int], object] = lambda _: None,
) -> FloatArray:
    """Embed texts in microbatches of similar lengths, over all cores: (N, H) of unit length.

    Args:
        model: what embeds.
        texts: N of them.
        token_budget: tokens of a microbatch.
        advance: called with the number of texts just done.
    """
    read = [model.default_prompt + text for text in texts]  # as a server reads them
    items = [tokens.ids for tokens in model.tokenizer.tokenize(read)]
    vectors = np.empty((len(items), model.encoder.hidden_size), np.float32)  # (N, H)
    for places in _group(items, token_budget):
        microbatch = Microbatch.pack([items[place] for place in places])
        states = model.encoder.encode(microbatch, Width.ALL_CORES)  # (T, H)
        vectors[places] = pool(states, microbatch.lengths, [model.pooling] * len(places))
        advance(len(places))
    return vectors


def _group(items: Sequence[IntArray], token_budget: int) -> Iterator[list[int]]:
    """Yield the places of items, shortest first, in groups within the budget."""
    group: list[int] = []
    num_tokens = 0
    for place in sorted(range(len(items)), key=lambda place: len(items[place])):
        if group and num_tokens + len(items[place]) > token_budget:
            yield group
            group, num_tokens = [], 0
        group.append(place)
        num_tokens += len(items[place])
    if group:
        yield group


def read_pairs(path: Path) -> Pairs:
    """Read a tab-separated file with score, sentence1 and sentence2, such as STS-B's own.

    Where it has a column `split`, only the rows of `test` count. It may be gzipped.

    Raises:
        ConfigurationError: if it cannot be read, lacks a column, or has no two scores that differ.
    """
    try:
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rt", encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
        rows = [row for row in rows if row.get("split", "test") == "test"]
        scores, first, second = ([_cell(row, name) for row in rows] for name in _COLUMNS)
        pairs = Pairs(first, second, np.array(scores, dtype=np.float32))
    except (OSError, EOFError, UnicodeDecodeError, csv.Error, LookupError, ValueError) as error:
        wanted = ", ".join(_COLUMNS)
        reason = "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else error
        message = f"{path} is no tab-separated file with a heading {wanted}: {reason}"
        raise ConfigurationError(message) from error
    if len(np.unique(pairs.scores)) < _FEWEST_SCORES or not np.isfinite(pairs.scores).all():
        raise ConfigurationError(f"{path} needs two rows or more, with scores that differ.")
    return pairs


def _cell(row: dict[str, str | None], name: str) -> str:
    """Read a column of a row; LookupError or ValueError if it has none."""
    if name not in row:
        raise LookupError(f"there is no column {name}")
    value = row[name]
    if value is None:
        raise ValueError(f"a row has no {name}: {next(iter(row.values()))!r:.40}")
    return value


def read_texts(path: Path) -> list[str]:
    """Read one text a line, leaving out empty lines.

    Raises:
        ConfigurationError: if it cannot be read, or has no text.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read as UTF-8 text: {error}") from error
    texts = [line for line in lines if line.strip()]
    if not texts:
        raise ConfigurationError(f"{path} has no text.")
    return texts
