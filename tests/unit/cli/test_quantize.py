"""`satsuma models quantize`: real weights, a report that adds up, errors that say what to give."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from support.families import write_family

from satsuma.cli.models import models
from satsuma.errors import ConfigurationError
from satsuma.store.manifest import ModelFiles

MINILM = "@hf/sentence-transformers/all-minilm-l6-v2"
PAIRS = """score\tsentence1\tsentence2
5\tA man is playing a guitar.\tA man plays the guitar.
3\tA man is playing a guitar.\tSomebody makes music.
0\tA man is playing a guitar.\tStock prices fell on Monday.
"""


def run(tmp_path: Path, *arguments: str) -> Result:
    """Run `satsuma models quantize`."""
    arguments = ("quantize", MINILM, *arguments, "--models-dir", str(tmp_path / "models"))
    return CliRunner().invoke(models, arguments)


@pytest.fixture
def pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of pairs."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "pairs.tsv"
    path.write_text(PAIRS)
    return path


def test_a_report_compares_with_fp32(tmp_path: Path, pairs: Path) -> None:
    """Cosines near 1, and people's order kept."""
    report = json.loads(run(tmp_path, "--report", "--pairs", str(pairs), "--json").stdout)
    assert report["model"] == MINILM
    assert report["agreement"]["num_texts"] == 6
    assert 0.99 < report["agreement"]["minimum"] <= report["agreement"]["mean"] < 1
    assert report["spearman"] == {"fp32": pytest.approx(1), "int8": pytest.approx(1)}


def test_json_without_a_report_says_what_was_packed(tmp_path: Path) -> None:
    """A script gets a line in any case."""
    packed = json.loads(run(tmp_path, "--json").stdout)
    assert packed["model"] == MINILM
    assert packed["memory_bytes"] > 10**7
    assert packed["agreement"] is None


def test_texts_and_pairs_are_compared_together(tmp_path: Path, pairs: Path) -> None:
    """In words, for people."""
    texts = tmp_path / "texts.txt"
    texts.write_text("one\ntwo\n")
    shown = run(tmp_path, "--report", "--texts", str(texts), "--pairs", str(pairs)).output
    assert "int8 weights of 58 MB are ready" in shown
    assert "over 8 texts: mean 0.99" in shown
    assert "Spearman: fp32 1.0000, int8 1.0000 (100.0% of fp32)" in shown


def test_a_report_is_of_vectors(tmp_path: Path, pairs: Path, all_minilm_files: ModelFiles) -> None:
    """A classifier's scores have no cosine; it is packed all the same."""
    models_dir = tmp_path / "models"
    write_family(
        models_dir / "pairs",
        "xlm_roberta_classifier",
        all_minilm_files.folder / "tokenizer.json",
    )
    arguments = ["quantize", "@local/pairs", "--models-dir", str(models_dir)]
    assert "weights of" in CliRunner().invoke(models, arguments).output
    error = CliRunner().invoke(models, [*arguments, "--report", "--pairs", str(pairs)]).exception
    assert isinstance(error, ConfigurationError)
    assert "@local/pairs gives scores and no vectors" in str(error)


def test_a_report_without_texts_says_how_to_give_some(tmp_path: Path) -> None:
    """Before anything is packed."""
    error = run(tmp_path, "--report").exception
    assert isinstance(error, ConfigurationError)
    assert "--texts FILE or --pairs FILE" in str(error)
