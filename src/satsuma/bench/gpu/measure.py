"""Everybody's rates on each model and workload. What fails is said, and costs nobody else a row."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any

import torch

from satsuma.bench.gpu.ceilings import Ceilings, time_runs
from satsuma.bench.gpu.contenders import Contender, Satsuma, least_cosine, peers
from satsuma.bench.gpu.models import WORKLOADS, make_texts, text_flops, text_tokens, write_model
from satsuma.bench.gpu.plan import Plan
from satsuma.bench.gpu.queries import QueryRow, measure_queries
from satsuma.bench.random_model import ModelShape
from satsuma.engine.pytorch.devices import free_memory
from satsuma.types import FloatArray, Precision

DTYPES = {Precision.FP32: "float32", Precision.FP16: "float16", Precision.BF16: "bfloat16"}
_SHORT_TEXT = "w1 w2 w3 w4 w5 w6 w7 w8"  # ten tokens
_NUM_COMPARED = 64  # texts of each workload


@dataclass(frozen=True, slots=True)
class Row:
    """One contender on one workload.

    Attributes:
        model: its shape's name.
        workload: tokens of a text, or `mixed`.
        contender: who, in which precision.
        batch_size: texts of its batches, the fastest of those that it was tried with; 0 if it
            chooses by itself.
        tokens_per_s: texts to vectors.
        engine_tokens_per_s: tokens to vectors, where that is known.
        share: of the device's ceiling in this precision, tokens to vectors.
        short_text_s: a lone text of ten tokens, the median; of the first workload only.
        peak_bytes: of the device's memory.
        least_cosine: to satsuma's vectors in fp32; None where those could not be had.
    """

    model: str
    workload: str
    contender: str
    batch_size: int
    tokens_per_s: float
    engine_tokens_per_s: float | None
    share: float | None
    short_text_s: float | None
    peak_bytes: int | None
    least_cosine: float | None


Vectors = dict[str, FloatArray]  # by workload, of its first texts


def measure_all(
    plan: Plan, device: torch.device, precision: Precision, limits: Ceilings
) -> Iterator[Row | QueryRow]:
    """Measure every model: every contender on every workload, and ways to run a lone query."""
    for shape in plan.shapes:
        with tempfile.TemporaryDirectory() as folder:
            model = write_model(Path(folder) / shape.name / "model", shape)
            yield from _Bench(plan, device, precision, limits, shape, model).measure()
            yield from measure_queries(model, shape, device, precision, plan.num_queries)


@dataclass(frozen=True, slots=True)
class _Bench:
    """One model's measurements."""

    plan: Plan
    device: torch.device
    precision: Precision
    limits: Ceilings
    shape: ModelShape
    model: Path

    def measure(self) -> Iterator[Row]:
        """Measure every contender, one in memory at a time."""
        num_tokens, size = self.plan.num_tokens, self.shape.vocab_size
        texts = {one: make_texts(one, num_tokens, size) for one in WORKLOADS}
        expected = self._find_expected(texts)
        yield from self._measure_one(lambda: self._load(self.precision), texts, expected)
        for make in peers(self.model, self.device, self.precision):
            yield from self._measure_one(make, texts, expected)

    def _load(self, precision: Precision) -> Satsuma:
        return Satsuma(self.model, str(self.device), precision)

    def _find_expected(self, texts: dict[str, list[str]]) -> Vectors:
        """Make the vectors that others are compared with; none where even that fails."""
        try:
            return _embed_some(self._load(Precision.FP32), texts)
        except Exception as error:  # noqa: BLE001 - the rates are still worth having
            _tell("fp32, to compare with", error)
            return {}

    def _measure_one(
        self, make: Callable[[], Contender], texts: dict[str, list[str]], expected: Vectors
    ) -> Iterator[Row]:
        """Measure a contender on each workload, as far as it comes."""
        name = "a contender"
        try:
            free_memory(self.device)
            contender = make()
            name = contender.name
            found = _embed_some(contender, texts)
            short_s = _time_short_text(contender, self.plan.num_queries)
            for workload, many in texts.items():
                known = expected.get(workload)
                cosine = None if known is None else least_cosine(found[workload], known)
                yield self._measure_workload(contender, workload, many, short_s, cosine)
        except Exception as error:  # noqa: BLE001 - others' packages raise whatever they like
            _tell(name, error)

    def _measure_workload(
        self,
        contender: Contender,
        workload: str,
        texts: list[str],
        short_s: float,
        cosine: float | None,
    ) -> Row:
        num_tokens = sum(map(text_tokens, texts))
        spent_s, batch_size, peak_bytes = self._find_best(contender, texts)
        engine = None
        if isinstance(contender, Satsuma):
            items = contender.tokenize(texts)
            engine = num_tokens / self._median_s(partial(contender.embed_tokens, items))
        rate = num_tokens / spent_s
        return Row(
            model=self.shape.name,
            workload=workload,
            contender=contender.name,
            batch_size=batch_size,
            tokens_per_s=rate,
            engine_tokens_per_s=engine,
            share=self._share(engine or rate, texts, num_tokens),
            short_text_s=short_s,
            peak_bytes=peak_bytes,
            least_cosine=cosine,
        )

    def _find_best(self, contender: Contender, texts: list[str]) -> tuple[float, int, int | None]:
        """Find the batches that a contender is fastest with: seconds, texts of one, memory."""
        found: list[tuple[float, int, int | None]] = []
        for size in contender.batch_sizes:
            try:
                _reset_peak(self.device)
                contender.embed(texts[: max(size, _NUM_COMPARED)], size)  # kernels are chosen by it
                spent_s = self._median_s(partial(contender.embed, texts, size))
                found.append((spent_s, size, _peak_bytes(self.device)))
            except RuntimeError as error:  # most often memory, of the larger one
                _tell(f"{contender.name}, batches of {size}", error)
                free_memory(self.device)
        return min(found, key=itemgetter(0))

    def _share(self, rate: float, texts: list[str], num_tokens: int) -> float | None:
        """Of the ceiling; None where that could not be measured."""
        ceiling = self.limits.flops_per_s.get(DTYPES[self.precision])
        flops = sum(text_flops(self.shape, text_tokens(text)) for text in texts)
        return rate * flops / num_tokens / ceiling if ceiling else None

    def _median_s(self, work: Callable[[], Any]) -> float:
        return statistics.median(time_runs(self.device, work, self.plan.rounds))


def _embed_some(contender: Contender, texts: dict[str, list[str]]) -> Vectors:
    """Embed the first texts of each workload, which also warms up."""
    return {workload: contender.embed(many[:_NUM_COMPARED]) for workload, many in texts.items()}


def _time_short_text(contender: Contender, num_queries: int) -> float:
    """Time a lone short text: the median of many, in seconds."""
    contender.embed([_SHORT_TEXT])
    spent_s = []
    for _ in range(num_queries):
        started_at_s = time.perf_counter()
        contender.embed([_SHORT_TEXT])
        spent_s.append(time.perf_counter() - started_at_s)
    return statistics.median(spent_s)


def _tell(name: str, error: Exception) -> None:
    print(f"left out: {name}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)


def _reset_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def _peak_bytes(device: torch.device) -> int | None:
    return int(torch.cuda.max_memory_allocated(device)) if device.type == "cuda" else None
