"""The benchmark of cards, on PyTorch's build for the CPU: what fails costs nobody else a row.

Runs where PyTorch is: tests/functional/test_torch_units.py.
"""

from __future__ import annotations

import importlib.util
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is in an environment of its own")

import torch

from satsuma.bench.gpu import ceilings, command, contenders, measure, queries
from satsuma.bench.gpu.contenders import Contender
from satsuma.bench.gpu.plan import QUICK
from satsuma.types import FloatArray, Precision

CPU = torch.device("cpu")


class InTestContender:
    """Somebody whose vectors are long, and whose larger batches are slow or do not fit."""

    def __init__(self, name: str, fails: str = "") -> None:
        """Fail in one way: at once, at the first batch, or in large batches."""
        self.name, self.fails, self.batch_sizes = name, fails, (32, 256)
        if fails == "loading":
            raise OSError("no such file")

    def embed(self, texts: Sequence[str], batch_size: int = 0) -> FloatArray:
        """Give vectors of length 10."""
        if self.fails == "running" or (self.fails == "large" and batch_size == 256):
            raise RuntimeError("CUDA out of memory")
        return np.full((len(texts), 64), 10 / 8, np.float32)


def peers(*_: object) -> Iterator[Callable[[], Contender]]:
    """Some fail, and the last does not."""
    for fails in ("loading", "running", "large", ""):
        yield lambda fails=fails: InTestContender(f"peer {fails}", fails)  # type: ignore[misc]


def fail(*_: object) -> Any:
    """Whatever it is."""
    raise KeyError("no compiler")


def test_what_fails_costs_nobody_else_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither contenders nor ways to run a query; what was measured is on the disk by then."""
    figures, written = tmp_path / "figures.json", []
    monkeypatch.setattr(measure, "peers", peers)
    monkeypatch.setattr(queries, "_compile", fail)
    show = command._show

    def spy(row: measure.Row) -> str:
        written.append(len(json.loads(figures.read_text())["rows"]) if figures.exists() else 0)
        return show(row)

    monkeypatch.setattr(command, "_show", spy)
    flags = ["--device", "cpu", "--quick", "--precision", "fp32", "--output", str(figures)]
    command.main(flags)
    found, told = json.loads(figures.read_text()), capsys.readouterr()
    assert written == [*range(12)]
    names = dict.fromkeys(row["contender"] for row in found["rows"])
    assert [*names] == ["satsuma fp32", "peer large", "peer "]
    assert {row["batch_size"] for row in found["rows"]} <= {0, 32, 256}
    assert {row["batch_size"] for row in found["rows"] if row["contender"] == "peer large"} == {32}
    assert "a contender: OSError: no such file" in told.err
    assert "peer running: RuntimeError" in told.err
    assert [(one["way"], one["reason"]) for one in found["queries"]] == [
        ("eager", ""),
        ("compiled", "KeyError: 'no compiler'"),
    ]
    assert "lone query fp32 compiled: failed: KeyError" in told.out


def test_rates_without_vectors_to_compare_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model may not fit the card in fp32."""
    limits, load = ceilings.Ceilings({}, 1.0), measure._Bench._load

    def load_half(bench: measure._Bench, precision: Precision) -> Any:
        return fail() if precision is Precision.FP32 else load(bench, precision)

    monkeypatch.setattr(measure._Bench, "_load", load_half)
    monkeypatch.setattr(measure, "measure_queries", lambda *_: ())
    rows = list(measure.measure_all(QUICK, CPU, Precision.BF16, limits))
    assert len(rows) == 4
    assert all(isinstance(row, measure.Row) for row in rows)
    assert {(row.share, row.least_cosine) for row in rows} == {(None, None)}  # type: ignore[union-attr]


def test_the_fastest_batches_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever they are."""
    spent_s = {32: 2.0, 256: 1.0}

    def median_s(_bench: object, work: Any) -> float:
        return spent_s[work.args[1]]

    monkeypatch.setattr(measure._Bench, "_median_s", median_s)
    bench = measure._Bench(QUICK, CPU, Precision.FP32, Any, QUICK.shapes[0], Path())  # type: ignore[arg-type]
    assert bench._find_best(InTestContender("peer"), ["a"])[:2] == (1.0, 256)
    spent_s[256] = 3.0
    assert bench._find_best(InTestContender("peer"), ["a"])[:2] == (2.0, 32)


def test_sentence_transformers_gets_the_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its default where nobody asks."""
    sizes: list[int] = []

    def encode(texts: list[str], batch_size: int, **_: object) -> FloatArray:
        sizes.append(batch_size)
        return np.ones((len(texts), 4), np.float32)

    package = SimpleNamespace(SentenceTransformer=lambda *_, **__: SimpleNamespace(encode=encode))
    monkeypatch.setattr(importlib, "import_module", lambda _: package)
    one = contenders.SentenceTransformers(Path(), "cpu", Precision.FP32, "sdpa")
    for size in (0, *one.batch_sizes):
        one.embed(["a"], size)
    assert sizes == [32, 32, 256]


@pytest.mark.parametrize(
    ("device", "precision", "capability", "expected"),
    [
        ("cuda:0", Precision.FP16, (8, 0), True),
        ("cuda:0", Precision.FP32, (8, 0), False),
        ("cuda:0", Precision.FP16, (7, 5), False),
        ("mps", Precision.FP16, (8, 0), False),
    ],
)
def test_flash_attention_is_tried_where_it_runs(
    device: str,
    precision: Precision,
    capability: tuple[int, int],
    expected: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It refuses the others when it is loaded, or at the first batch."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: True)
    assert contenders.has_flash_attention(torch.device(device), precision) is expected


def test_lengths_of_vectors_do_not_count() -> None:
    """Somebody may not scale them."""
    rows = np.array([[3.0, 4.0], [0.0, 2.0]], np.float32)
    assert contenders.least_cosine(rows, 0.1 * rows) == pytest.approx(1.0)
    assert contenders.least_cosine(rows, rows[::-1]) == pytest.approx(0.8)


def test_a_ceiling_is_warmed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """An idle card begins slowly."""
    now_s = iter(np.arange(0.0, 1000.0, 0.1))
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(now_s)))
    counts = []
    for warm_up_s in (0.0, 2.0):
        runs: list[None] = []
        ceilings.fastest_s(CPU, lambda: runs.append(None), warm_up_s)  # noqa: B023
        counts.append(len(runs))
    assert counts[0] == 1 + 10
    assert counts[1] > counts[0] + 3


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card")
@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--device", "gpu"], "no device 'gpu': cuda:N, mps or cpu is needed"),
        ([], "PyTorch .* `--device cpu` needs none"),
    ],
)
def test_a_device_that_is_not_here_is_a_sentence(flags: list[str], message: str) -> None:
    """No trace, and no default that others get."""
    with pytest.raises(SystemExit, match=message):
        command.main([*flags, "--quick"])
