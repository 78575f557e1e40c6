"""What the contenders embed: the benchmark's own workloads, STS-B, and a long-tailed mix."""

from __future__ import annotations

import csv
import gzip
import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist

import numpy as np

from satsuma.bench.peers.errors import PeerError
from satsuma.bench.workload import NUM_SPECIAL_TOKENS, WORKLOADS, Workload

NUM_VARIANTS = 8
STSB_TEXTS = 256
LONG_TAIL_TEXTS = 100
LONG_TAIL_MEDIAN = 25

# What the test split of STS-B has: the logarithms' mean and deviation, and its extremes.
_STSB_LOG_MEAN, _STSB_LOG_DEVIATION = 2.5525, 0.4182
_STSB_SHORTEST, _STSB_LONGEST = 5, 46
_SHORTEST = NUM_SPECIAL_TOKENS + 1

NAMES = ("1x10", "3x11", "100x32", "32x128", "8x512", "mixed", "stsb", "longtail")


@dataclass(frozen=True, slots=True)
class PeerWorkload:
    """Texts for all contenders.

    Attributes:
        name: as `--workload` has it.
        about: one line for the report.
        lengths: tokens of each text, [CLS] and [SEP] included; the same for every variant.
        variants: texts that take turns, so that no cache of texts could answer.
    """

    name: str
    about: str
    lengths: tuple[int, ...]
    variants: tuple[tuple[str, ...], ...]

    @property
    def num_tokens(self) -> int:
        """Tokens of one variant, padding not counted."""
        return sum(self.lengths)


CountTokens = Callable[[Sequence[str]], Sequence[int]]


def build_workload(
    name: str, max_tokens: int, stsb: Path | None, count_tokens: CountTokens
) -> PeerWorkload:
    """Make a workload's texts, none longer than the model takes.

    Args:
        name: one of `NAMES`.
        max_tokens: the model's limit.
        stsb: stsbenchmark.tsv.gz; None makes texts of STS-B's lengths instead.
        count_tokens: the model's tokenizer, for texts that were not made to a length.
    """
    if name == "longtail":
        return _generated(Workload(name, long_tail_lengths(max_tokens)), "log-normal lengths")
    if name != "stsb":
        return _generated(_cut(WORKLOADS[name], max_tokens), "the benchmark's own words")
    if stsb is None:
        return _generated(Workload(name, stsb_lengths()), "made to STS-B's lengths")
    texts = read_stsb(stsb)
    lengths = tuple(count_tokens(texts))
    return PeerWorkload(name, "sentences of STS-B's test split", lengths, (tuple(texts),))


def _cut(workload: Workload, max_tokens: int) -> Workload:
    lengths = tuple(min(length, max_tokens) for length in workload.lengths)
    if lengths == workload.lengths:
        return workload
    return Workload(f"{len(lengths)}x{max_tokens}", lengths)


def _generated(workload: Workload, about: str) -> PeerWorkload:
    variants = tuple(tuple(workload.texts(variant)) for variant in range(NUM_VARIANTS))
    longest, shortest = max(workload.lengths), min(workload.lengths)
    spread = f"{longest}" if shortest == longest else f"{shortest} to {longest}"
    num_texts = len(workload.lengths)
    about = f"{num_texts} text{'s' if num_texts > 1 else ''} of {spread} tokens, {about}"
    return PeerWorkload(workload.name, about, workload.lengths, variants)


def long_tail_lengths(max_tokens: int) -> tuple[int, ...]:
    """Spread lengths as a log-normal law: half below 25 tokens, the longest at the limit."""
    top = NormalDist().inv_cdf(1 - 0.5 / LONG_TAIL_TEXTS)
    deviation = math.log(max_tokens / LONG_TAIL_MEDIAN) / top
    return _log_normal(
        LONG_TAIL_TEXTS, math.log(LONG_TAIL_MEDIAN), deviation, (_SHORTEST, max_tokens)
    )


def stsb_lengths() -> tuple[int, ...]:
    """Spread lengths as STS-B's are."""
    limits = (_STSB_SHORTEST, _STSB_LONGEST)
    return _log_normal(STSB_TEXTS, _STSB_LOG_MEAN, _STSB_LOG_DEVIATION, limits)


def _log_normal(
    num_texts: int, mean: float, deviation: float, limits: tuple[int, int]
) -> tuple[int, ...]:
    """Take evenly spaced quantiles of a log-normal law, in a fixed shuffled order."""
    law = NormalDist(mean, deviation)
    quantiles = [law.inv_cdf((index + 0.5) / num_texts) for index in range(num_texts)]
    lengths = [min(max(round(math.exp(one)), limits[0]), limits[1]) for one in quantiles]
    order = np.random.default_rng(0).permutation(num_texts)
    return tuple(lengths[index] for index in order)


def read_stsb(path: Path) -> list[str]:
    """Take sentences of the test split, evenly spaced.

    Raises:
        PeerError: if the file is another.
    """
    try:
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
        rows = [row for row in rows if row["split"] == "test"]
        sentences = [row[key] for row in rows for key in ("sentence1", "sentence2")]
    except (OSError, EOFError, zlib.error, ValueError, LookupError, csv.Error) as error:
        raise PeerError(f"{path} is no stsbenchmark.tsv.gz: {error!r}") from error
    if not sentences or not all(sentences):
        raise PeerError(f"{path} is no stsbenchmark.tsv.gz: its test split lacks sentences")
    step = max(1, len(sentences) // STSB_TEXTS)
    return sentences[::step][:STSB_TEXTS]
