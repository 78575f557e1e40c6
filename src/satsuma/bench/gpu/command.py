"""`make bench-gpu`: the device's limits, then everybody's rates on each model and workload."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from satsuma.bench.gpu.ceilings import Ceilings, measure_ceilings, time_runs
from satsuma.bench.gpu.contenders import Contender, Satsuma, peers, release
from satsuma.bench.gpu.models import WORKLOADS, make_texts, text_flops, text_tokens, write_model
from satsuma.bench.random_model import SHAPES, ModelShape
from satsuma.engine.pytorch.devices import describe
from satsuma.types import FloatArray, Precision

_DTYPES = {Precision.FP32: "float32", Precision.FP16: "float16", Precision.BF16: "bfloat16"}
_QUICK = ModelShape("quick", 64, 2, 4, 256, vocab_size=2000)
_SHORT_TEXT = "w1 w2 w3 w4 w5 w6 w7 w8"  # ten tokens
_MIB = 2**20


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured.

    Attributes:
        shapes: of the models.
        num_tokens: of a workload.
        rounds: of each; the median counts.
        num_queries: lone short texts.
        width: of the ceilings' matrices.
        copied_bytes: of the ceilings' copy.
    """

    shapes: tuple[ModelShape, ...] = (SHAPES["bge-base"], SHAPES["bge-large"])
    num_tokens: int = 1_000_000
    rounds: int = 3
    num_queries: int = 200
    width: int = 8192
    copied_bytes: int = 2**30


QUICK = Plan((_QUICK,), num_tokens=2000, rounds=1, num_queries=5, width=256, copied_bytes=2**20)


@dataclass(frozen=True, slots=True)
class Row:
    """One contender on one workload.

    Attributes:
        model: its shape's name.
        workload: tokens of a text, or `mixed`.
        contender: who, in which precision.
        tokens_per_s: texts to vectors.
        engine_tokens_per_s: tokens to vectors, where that is known.
        share: of the device's ceiling in this precision, tokens to vectors.
        short_text_s: a lone text of ten tokens, the median; of the first workload only.
        peak_bytes: of the device's memory.
        least_cosine: to satsuma's vectors in fp32.
    """

    model: str
    workload: str
    contender: str
    tokens_per_s: float
    engine_tokens_per_s: float | None
    share: float | None
    short_text_s: float | None
    peak_bytes: int | None
    least_cosine: float


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    given = _parse(arguments)
    plan = replace(QUICK if given.quick else Plan())
    if given.tokens:
        plan = replace(plan, num_tokens=given.tokens)
    device, precision = torch.device(given.device), Precision(given.precision)
    limits = measure_ceilings(device, plan.width, plan.copied_bytes)
    print(_describe(device, limits), flush=True)
    rows = []
    for row in measure_all(plan, device, precision, limits):
        rows.append(row)
        print(_show(row), flush=True)
    if given.output:
        about = {"device": describe(device), "releases": release(), "ceilings": asdict(limits)}
        content = {**about, "rows": [asdict(row) for row in rows]}
        given.output.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda:0", help="cuda:N, mps or cpu")
    parser.add_argument("--precision", default="fp16", choices=["fp16", "bf16", "fp32"])
    parser.add_argument("--tokens", type=int, help="of each workload")
    parser.add_argument("--quick", action="store_true", help="a tiny model: does it run at all?")
    parser.add_argument("--output", type=Path, help="write the figures as JSON")
    return parser.parse_args(arguments)


def measure_all(
    plan: Plan, device: torch.device, precision: Precision, limits: Ceilings
) -> Iterator[Row]:
    """Measure every model, contender and workload."""
    ceiling = limits.flops_per_s[_DTYPES[precision]]
    with tempfile.TemporaryDirectory() as folder:
        for shape in plan.shapes:
            model = write_model(Path(folder) / shape.name / "model", shape)
            texts = {one: make_texts(one, plan.num_tokens, shape.vocab_size) for one in WORKLOADS}
            expected = _embed_some(Satsuma(model, str(device), Precision.FP32), texts)
            makers: list[Callable[[], Contender]] = [
                lambda model=model: Satsuma(model, str(device), precision),  # type: ignore[misc]
                *peers(model, str(device), precision),
            ]
            for make in makers:
                yield from _measure_one(plan, device, shape, make, texts, expected, ceiling)


def _measure_one(  # noqa: PLR0913, PLR0917 - what a row is made of
    plan: Plan,
    device: torch.device,
    shape: ModelShape,
    make: Callable[[], Contender],
    texts: dict[str, list[str]],
    expected: dict[str, FloatArray],
    ceiling: float,
) -> Iterator[Row]:
    """Measure a contender on each workload; one that cannot be loaded is said and left out."""
    try:
        contender = make()
    except (ImportError, RuntimeError, ValueError) as error:
        print(f"left out: {error}", file=sys.stderr)
        return
    found = _embed_some(contender, texts)
    short_s = _time_short_text(contender, plan.num_queries)
    for workload, many in texts.items():
        _reset_peak(device)
        num_tokens = sum(map(text_tokens, many))
        rate = num_tokens / _median_s(lambda many=many: contender.embed(many), plan.rounds, device)  # type: ignore[misc]
        engine = None
        if isinstance(contender, Satsuma):
            items = contender.tokenize(many)
            engine = num_tokens / _median_s(
                lambda items=items: contender.embed_tokens(items),  # type: ignore[misc]
                plan.rounds,
                device,
            )
        flops = sum(text_flops(shape, text_tokens(text)) for text in many)
        yield Row(
            model=shape.name,
            workload=workload,
            contender=contender.name,
            tokens_per_s=rate,
            engine_tokens_per_s=engine,
            share=(engine or rate) * flops / num_tokens / ceiling,
            short_text_s=short_s,
            peak_bytes=_peak_bytes(device),
            least_cosine=float((found[workload] * expected[workload]).sum(axis=1).min()),
        )


def _embed_some(contender: Contender, texts: dict[str, list[str]]) -> dict[str, FloatArray]:
    """Embed the first texts of each workload, which also warms up."""
    return {workload: contender.embed(many[:64]) for workload, many in texts.items()}


def _time_short_text(contender: Contender, num_queries: int) -> float:
    """Time a lone short text: the median of many, in seconds."""
    contender.embed([_SHORT_TEXT])
    spent_s = []
    for _ in range(num_queries):
        started_at_s = time.perf_counter()
        contender.embed([_SHORT_TEXT])
        spent_s.append(time.perf_counter() - started_at_s)
    return statistics.median(spent_s)


def _median_s(work: Callable[[], Any], rounds: int, device: torch.device) -> float:
    return statistics.median(time_runs(device, work, rounds))


def _reset_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def _peak_bytes(device: torch.device) -> int | None:
    return int(torch.cuda.max_memory_allocated(device)) if device.type == "cuda" else None


def _describe(device: torch.device, limits: Ceilings) -> str:
    products = ", ".join(f"{n} {r / 1e12:.1f}" for n, r in limits.flops_per_s.items())
    releases = ", ".join(f"{name} {one}" for name, one in release().items() if one)
    return (
        f"{describe(device)}; {releases}\n"
        f"matrix products in TFLOP/s: {products}; copies: {limits.bytes_per_s / 1e9:.0f} GB/s"
    )


def _show(row: Row) -> str:
    engine = f", engine {row.engine_tokens_per_s:,.0f}" if row.engine_tokens_per_s else ""
    memory = f", {row.peak_bytes / _MIB:.0f} MiB" if row.peak_bytes else ""
    return (
        f"{row.model} {row.workload} {row.contender}: {row.tokens_per_s:,.0f} tokens/s{engine}, "
        f"{row.share or 0:.1%} of the ceiling, a short text in {(row.short_text_s or 0) * 1e3:.2f}"
        f" ms{memory}, cosine to fp32 {row.least_cosine:.6f} or more"
    )
