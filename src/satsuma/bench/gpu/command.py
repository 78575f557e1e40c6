"""`make bench-gpu`: the device's limits, then everybody's rates on each model and workload."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch

from satsuma.bench.gpu.ceilings import Ceilings, measure_ceilings
from satsuma.bench.gpu.contenders import release
from satsuma.bench.gpu.measure import Row, measure_all
from satsuma.bench.gpu.plan import QUICK, Plan
from satsuma.bench.gpu.queries import QueryRow
from satsuma.engine.pytorch.devices import demand_exact_products, describe, find_devices
from satsuma.errors import EngineError
from satsuma.types import Precision

_DEVICE = re.compile(r"cpu|mps|cuda(:\d{1,3})?")
_MIB = 2**20


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print; what was measured is written after each row."""
    given = _parse(arguments)
    plan = QUICK if given.quick else Plan()
    if given.tokens:
        plan = replace(plan, num_tokens=given.tokens)
    device, precision = _find_device(given.device), Precision(given.precision)
    demand_exact_products()
    limits = measure_ceilings(device, plan.width, plan.copied_bytes, plan.warm_up_s)
    print(_describe(device, limits), flush=True)
    rows: list[Row] = []
    queries: list[QueryRow] = []
    for row in measure_all(plan, device, precision, limits):
        if isinstance(row, Row):
            rows.append(row)
            print(_show(row), flush=True)
        else:
            queries.append(row)
            print(_show_query(row), flush=True)
        if given.output:
            _write(given.output, device, limits, rows, queries)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda:0", help="cuda:N, mps or cpu")
    parser.add_argument("--precision", default="fp16", choices=["fp16", "bf16", "fp32"])
    parser.add_argument("--tokens", type=int, help="of each workload")
    parser.add_argument("--quick", action="store_true", help="a tiny model: does it run at all?")
    parser.add_argument("--output", type=Path, help="write the figures as JSON")
    return parser.parse_args(arguments)


def _find_device(name: str) -> torch.device:
    """Find one device, or end the program with a sentence that says what there is."""
    if not _DEVICE.fullmatch(name):
        sys.exit(f"There is no device {name!r}: cuda:N, mps or cpu is needed.")
    try:
        return find_devices(name)[0]
    except EngineError as error:
        sys.exit(str(error))


def _write(
    path: Path,
    device: torch.device,
    limits: Ceilings,
    rows: Sequence[Row],
    queries: Sequence[QueryRow],
) -> None:
    content = {
        "device": describe(device),
        "releases": release(),
        "ceilings": asdict(limits),
        "rows": [asdict(row) for row in rows],
        "queries": [asdict(row) for row in queries],
    }
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _describe(device: torch.device, limits: Ceilings) -> str:
    products = ", ".join(f"{n} {r / 1e12:.1f}" for n, r in limits.flops_per_s.items())
    releases = ", ".join(f"{name} {one}" for name, one in release().items() if one)
    return (
        f"{describe(device)}; {releases}\n"
        f"matrix products in TFLOP/s: {products}; copies: {limits.bytes_per_s / 1e9:.0f} GB/s"
    )


def _show(row: Row) -> str:
    batches = f", batches of {row.batch_size}" if row.batch_size else ""
    engine = f", engine {row.engine_tokens_per_s:,.0f}" if row.engine_tokens_per_s else ""
    share = f", {row.share:.1%} of the ceiling" if row.share else ""
    memory = f", {row.peak_bytes / _MIB:.0f} MiB" if row.peak_bytes else ""
    cosine = f", cosine to fp32 {row.least_cosine:.6f} or more" if row.least_cosine else ""
    return (
        f"{row.model} {row.workload} {row.contender}{batches}: {row.tokens_per_s:,.0f} tokens/s"
        f"{engine}{share}, a short text in {(row.short_text_s or 0) * 1e3:.2f} ms{memory}{cosine}"
    )


def _show_query(row: QueryRow) -> str:
    name = f"{row.model} lone query {row.precision} {row.way}"
    if row.query_s is None:
        return f"{name}: failed: {row.reason.partition(chr(10))[0]}"
    return (
        f"{name}: {row.query_s * 1e3:.2f} ms, prepared in {row.prepare_s or 0:.1f} s, "
        f"cosine to eager {row.least_cosine or 0:.6f} or more"
    )
