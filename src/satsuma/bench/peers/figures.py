"""What was seen of the contenders: figures, failures, and the whole report."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from satsuma.bench.ceiling import Ceiling
from satsuma.bench.measure import Spread
from satsuma.bench.report import Surroundings


@dataclass(frozen=True, slots=True)
class Figures:
    """One contender on one workload.

    Attributes:
        tokens_per_s: over the rounds.
        run_ms: one run's time, over all runs.
        gflops: needed arithmetic at the median rate.
        num_runs: runs timed.
        peak_bytes: most memory that was resident during this workload; None if unknown.
        min_cosine: of the worst text's vector with the reference's; None without a reference.
    """

    model: str
    workload: str
    contender: str
    precision: str
    tokens_per_s: Spread
    run_ms: Spread
    gflops: float
    num_runs: int
    peak_bytes: int | None
    min_cosine: float | None


@dataclass(frozen=True, slots=True)
class Failure:
    """A contender without figures; without a workload, it has none at all for the model."""

    model: str
    contender: str
    precision: str
    reason: str
    workload: str = ""


@dataclass(frozen=True, slots=True)
class ModelNote:
    """What the report says of a model."""

    name: str
    weights: str
    pooling: str
    max_tokens: int
    flops_per_token: float  # in a text of 128


@dataclass(frozen=True, slots=True)
class WorkloadNote:
    """What the report says of a workload.

    Attributes:
        flops_per_token: turns the ceiling into tokens a second.
    """

    model: str
    name: str
    about: str
    num_texts: int
    num_tokens: int
    flops_per_token: float


@dataclass(frozen=True, slots=True)
class ContenderNote:
    """What the report says of a contender."""

    name: str
    precision: str
    method: str
    versions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PeersReport:
    """One whole run."""

    surroundings: Surroundings
    ceiling: Ceiling
    rounds: int
    seconds: float
    models: Sequence[ModelNote]
    workloads: Sequence[WorkloadNote]
    contenders: Sequence[ContenderNote]
    figures: Sequence[Figures]
    failures: Sequence[Failure]

    def to_json(self) -> str:
        """Write the report as one line of JSON."""
        return json.dumps({"benchmark": "peers", **_rounded(asdict(self))})


def _rounded(content: Any) -> Any:
    """Keep six digits: a cosine needs them, and more would be noise."""
    if isinstance(content, dict):
        return {key: _rounded(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_rounded(value) for value in content]
    return round(content, 6) if isinstance(content, float) else content


def min_cosine(vectors: npt.NDArray[Any], reference: npt.NDArray[Any]) -> float:
    """Compare two arrays row by row; the worst row counts.

    Raises:
        ValueError: if their shapes differ, or a vector has no direction.
    """
    if vectors.shape != reference.shape:
        raise ValueError(f"{vectors.shape} vectors instead of {reference.shape}")
    one, other = vectors.astype(np.float64), reference.astype(np.float64)
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    if not np.all(np.isfinite(norms)) or norms.min() == 0:
        raise ValueError("a vector is zero or not finite")
    return float(((one * other).sum(axis=1) / norms).min())
