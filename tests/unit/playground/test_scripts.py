"""The pages' arithmetic and reading, without a browser: the modules as they are, in Node."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from satsuma.kinds.bge_m3 import BGE_M3
from satsuma.kinds.embedding import embedding_kind
from satsuma.kinds.embeddinggemma import EMBEDDINGGEMMA
from satsuma.kinds.kind import Kind
from satsuma.kinds.qwen3 import QWEN3
from satsuma.kinds.reranker import RERANKER
from satsuma.playground import STATIC_DIR
from satsuma.types import DoubleArray, Pooling

NODE = Path(sys.executable).parent / "node"

pytestmark = pytest.mark.skipif(not NODE.exists(), reason="needs Node, of the group `test`")


def call(module: str, function: str, *arguments: Any) -> Any:
    """Call a function of a module."""
    script = f"""
      import {{ {function} }} from {json.dumps(str(STATIC_DIR / module))};
      console.log(JSON.stringify({function}(...JSON.parse(process.argv[1]))));
    """
    command = [str(NODE), "--input-type=module", "-e", script, json.dumps(arguments)]
    return json.loads(subprocess.check_output(command, timeout=60))


def unit_rows(num_rows: int, width: int, seed: int = 0) -> DoubleArray:
    """Vectors of unit length, (B, H)."""
    rows = np.random.default_rng(seed).normal(size=(num_rows, width))
    lengths: DoubleArray = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / lengths


@pytest.mark.parametrize(("num_rows", "width"), [(3, 4), (8, 384), (40, 16)])
def test_projection_is_that_of_the_singular_values(num_rows: int, width: int) -> None:
    """Positions but for their signs, and the shares of the variance."""
    rows = unit_rows(num_rows, width)
    found = call("vectors.js", "project", rows.tolist())
    left, values, _ = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    wanted = (left * values)[:, :2]  # (B, 2)
    np.testing.assert_allclose(np.abs(found["points"]), np.abs(wanted), atol=1e-4)
    np.testing.assert_allclose(found["shares"], (values**2 / np.sum(values**2))[:2], atol=1e-6)


def test_projection_is_the_same_each_time() -> None:
    """And its larger side is always to the right, and up."""
    rows = unit_rows(6, 10).tolist()
    first = call("vectors.js", "project", rows)
    assert call("vectors.js", "project", rows) == first
    points = np.array(first["points"])
    assert (points.max(axis=0) >= -points.min(axis=0) - 1e-6).all()


@pytest.mark.parametrize("rows", [[[1.0, 0.0]], [[0.6, 0.8]] * 4])
def test_vectors_that_do_not_differ_lie_on_one_spot(rows: list[list[float]]) -> None:
    """One alone, or the same several times."""
    found = call("vectors.js", "project", rows)
    np.testing.assert_allclose(found["points"], np.zeros((len(rows), 2)), atol=1e-6)
    assert found["shares"] == [0, 0]


@pytest.mark.parametrize(
    ("typed", "texts"),
    [
        ("a\n\n  b \r\nc", ["a", "b", "c"]),
        ('["a\\nb", "c"]', ["a\nb", "c"]),
        ("[note] not JSON\nb", ["[note] not JSON", "b"]),
        ("", []),
        (" \n ", []),
    ],
)
def test_texts_are_read_as_they_are_meant(typed: str, texts: list[str]) -> None:
    """Lines, or a JSON list."""
    assert call("texts.js", "readTexts", typed, 100) == {"texts": texts, "problem": ""}


@pytest.mark.parametrize("typed", ['["a", ', '["a", ""]', "[1]", '["a", 2]', '[["a"]]', "[]x"])
def test_what_is_no_list_is_explained(typed: str) -> None:
    """Rather than embedded as a line of brackets, where it begins like one."""
    found = call("texts.js", "readTexts", typed, 100)
    assert (found["problem"] != "") or found["texts"] == [typed]


def test_too_many_texts_are_explained() -> None:
    """With both numbers."""
    found = call("texts.js", "readTexts", "x\n" * 101, 100)
    assert found["problem"] == "101 texts are more than the 100 that fit here."


@pytest.mark.parametrize(
    ("kind", "most", "choices"),
    [
        (embedding_kind(Pooling.CLS), {"text": 100}, ["mean", "cls"]),
        (embedding_kind(Pooling.LAST_TOKEN), {"text": 100}, ["mean", "cls", "last_token"]),
        (BGE_M3, {"contexts": 1_000, "text": 100}, None),
        (RERANKER, {"contexts": 1_000}, None),
        (QWEN3, {"queries": 32, "documents": 32, "text": 32}, None),
        (EMBEDDINGGEMMA, {"text": 100}, None),
    ],
)
def test_limits_are_read_from_the_schemas(
    kind: Kind, most: dict[str, int], choices: list[str] | None
) -> None:
    """Each kind's own, which are those that decide."""
    assert dict(call("takes.js", "mostTexts", kind.input)) == most
    found = call("takes.js", "poolingsOf", kind.input)
    assert (found and found["enum"]) == choices
