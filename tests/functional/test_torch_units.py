"""The tests of the engine on PyTorch, in PyTorch's environment, and the program with it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
from support.engines import ROOT, TORCH_PYTHON, need_torch
from support.program import environment

ALL_MINILM = "@hf/sentence-transformers/all-minilm-l6-v2"
NO_CARDS = {"CUDA_VISIBLE_DEVICES": ""}  # whatever the machine has
# What is run over every engine, here over this one.
SUITES = (
    "tests/unit/engine/test_contract.py",
    "tests/unit/engine/test_pytorch.py",
    "tests/unit/engine/test_pytorch_attention.py",
    "tests/unit/engine/test_pytorch_devices.py",
    "tests/unit/bench/test_torch_bench.py",
    "tests/golden/test_families.py",
    "tests/golden/test_all_minilm.py",
)


def test_they_pass(tmp_path: Path) -> None:
    """None of them skipped."""
    need_torch()
    command = [str(TORCH_PYTHON), "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "torch"]
    env = os.environ | {"HOME": str(tmp_path)}
    done = subprocess.run(
        [*command, *SUITES], cwd=ROOT, env=env, capture_output=True, text=True, timeout=300,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
    assert "PyTorch is in an environment of its own" not in done.stdout


def satsuma(*arguments: str, tmp_path: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Run the program in PyTorch's environment, with more variables."""
    need_torch()
    return subprocess.run(
        [str(TORCH_PYTHON), "-m", "satsuma", *arguments],
        env=environment(tmp_path, **more),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_program_runs_on_it(tmp_path: Path) -> None:
    """Through the scheduler, with the published vectors as the check."""
    flags = ("--engine", "torch", "--device", "cpu")
    done = satsuma("run", ALL_MINILM, "hello world", *flags, tmp_path=tmp_path)
    vector = json.loads(done.stdout)["data"][0]
    np.testing.assert_allclose(vector[:3], [-0.03447729, 0.03102315, 0.00673496], atol=1e-6)


def test_pytorch_is_left_alone_where_nobody_asked(tmp_path: Path) -> None:
    """It is installed here, no card is shown, and its seconds and memory are spared."""
    need_torch()
    program = f"""
import sys
from satsuma import Ai
with Ai() as ai:
    ai.run("{ALL_MINILM}", {{"text": "hello world"}})
assert "torch" not in sys.modules
"""
    env = environment(tmp_path, **NO_CARDS)
    subprocess.run([str(TORCH_PYTHON), "-c", program], env=env, timeout=60, check=True)


def test_a_card_that_is_not_there_is_explained(tmp_path: Path) -> None:
    """In a line, and no trace."""
    done = satsuma("run", ALL_MINILM, "hello", "--device", "cuda", tmp_path=tmp_path, **NO_CARDS)
    assert done.returncode == 1
    assert "`--device cpu` needs none" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_benchmark_of_cards_runs_without_one(tmp_path: Path) -> None:
    """On a tiny model: every workload has a rate, and vectors as they should be.

    A lone query is tried compiled as well, which needs a compiler for C++.
    """
    need_torch()
    figures = tmp_path / "figures.json"
    flags = ("--device", "cpu", "--quick", "--precision", "bf16", "--output", str(figures))
    subprocess.run(
        [str(TORCH_PYTHON), "scripts/bench_gpu.py", *flags],
        cwd=ROOT,
        env=os.environ | {"TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "compiled")},
        timeout=300,
        check=True,
    )
    found = json.loads(figures.read_text())
    rows = [row for row in found["rows"] if "satsuma" in row["contender"]]
    assert [row["workload"] for row in rows] == ["16", "128", "512", "mixed"]
    assert all(row["engine_tokens_per_s"] >= 0.5 * row["tokens_per_s"] > 0 for row in rows)
    assert all(0.99 < row["least_cosine"] <= 1.000001 for row in rows)
    queries = {query["way"]: query for query in found["queries"]}
    assert [*queries] == ["eager", "compiled"]
    if shutil.which("g++"):
        assert queries["compiled"]["least_cosine"] > 0.99
    else:
        assert queries["compiled"]["reason"]


def test_doctor_names_the_device(tmp_path: Path) -> None:
    """And the precision."""
    flags = ("--engine", "torch", "--device", "cpu", "--precision", "bf16")
    shown = satsuma("doctor", "--port", "0", *flags, tmp_path=tmp_path).stdout
    assert "on the CPU, bf16" in shown
