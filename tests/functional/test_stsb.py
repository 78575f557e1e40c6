"""STS-B: all-MiniLM-L6-v2's published Spearman through the HTTP API, and what int8 makes of it."""

from __future__ import annotations

import csv
import gzip
import json
import os
from pathlib import Path

import numpy as np
import pytest
import requests
from support.program import environment, satsuma, serving

ALL_MINILM = "@hf/sentence-transformers/all-minilm-l6-v2"
RECORDED = json.loads(
    (Path(__file__).parents[1] / "golden" / "all_minilm_l6_v2_stsb.json").read_text()
)
ROOT = Path(__file__).parents[2]
STSB = Path(os.environ.get("STSB", ROOT.parent / "shared/data/stsb/stsbenchmark.tsv.gz"))


def read_test_split() -> tuple[list[str], list[str], list[float]]:
    """Both sentences of each pair, and the people's score."""
    with gzip.open(STSB, "rt", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    rows = [row for row in rows if row["split"] == "test"]
    first, second = ([row[f"sentence{n}"] for row in rows] for n in (1, 2))
    return first, second, [float(row["score"]) for row in rows]


def ranks(values: list[float]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Average ranks, ties sharing theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    averages: np.ndarray[tuple[int], np.dtype[np.float64]] = last - (counts - 1) / 2
    return averages[inverse]


needs_stsb = pytest.mark.skipif(
    not STSB.is_file(), reason="needs STS-B: set STSB to stsbenchmark.tsv.gz"
)


@needs_stsb
def test_spearman_is_the_published_one(tmp_path: Path) -> None:
    """0.8203, as sentence-transformers and MTEB have it."""
    first, second, scores = read_test_split()
    texts = first + second
    with serving("--model", ALL_MINILM, env=environment(tmp_path)) as server:
        url, rows = server.run_url(ALL_MINILM), []
        for start in range(0, len(texts), 100):
            body = {"text": texts[start : start + 100]}
            rows += requests.post(url, json=body, timeout=120).json()["result"]["data"]
    vectors = np.array(rows)  # (2 * pairs, 384)
    similarities = (vectors[: len(first)] * vectors[len(first) :]).sum(axis=1)
    spearman = np.corrcoef(ranks(similarities.tolist()), ranks(scores))[0, 1]
    assert len(scores) == RECORDED["num_pairs"]
    assert round(float(spearman), 4) == round(RECORDED["spearman"], 4) == 0.8203


@needs_stsb
def test_int8_keeps_the_order_that_people_gave(tmp_path: Path) -> None:
    """99.8 % of fp32's Spearman, and vectors that point the same way: what docs/models.md says."""
    asked = ("models", "quantize", ALL_MINILM, "--report", "--pairs", str(STSB), "--json")
    report = json.loads(satsuma(*asked, env=environment(tmp_path)).stdout)
    assert report["agreement"]["num_texts"] == 2 * RECORDED["num_pairs"]
    assert round(report["spearman"]["fp32"], 4) == 0.8203
    assert round(report["spearman"]["int8"], 4) >= 0.8190
    assert report["agreement"]["mean"] >= 0.996
    assert report["agreement"]["minimum"] >= 0.98
