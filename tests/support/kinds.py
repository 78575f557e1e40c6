"""A models' folder with a tiny random model of each kind, and a catalog that says what they are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from satsuma.engine.load import LoadedModel, load_model
from satsuma.settings import Settings
from satsuma.store.local import ModelStore
from support.families import write_family
from support.pytorch_files import write_tensors

M3, RERANKER, QWEN3, GEMMA = "@local/m3", "@local/reranker", "@local/qwen3", "@local/gemma"
PLAIN_RERANKER = "@local/unlisted"  # a classifier of which no catalog knows
MAX_TOKENS = 100  # of a text, but for the rerankers' pairs
MAX_PAIR_TOKENS = 128

_HIDDEN_SIZE = 36

_FAMILIES = {
    M3: "xlm_roberta",
    RERANKER: "xlm_roberta_classifier",
    QWEN3: "qwen3",
    GEMMA: "gemma3",
    PLAIN_RERANKER: "xlm_roberta_classifier",
}

# What the catalog says of each; it knows nothing of the last one.
_CATALOGUED: dict[str, dict[str, str | int | list[int]]] = {
    M3: {"kind": "bge-m3", "pooling": "cls"},
    RERANKER: {"kind": "reranker"},
    QWEN3: {"kind": "qwen3-embedding", "hidden_size": _HIDDEN_SIZE, "min_dimensions": 8},
    GEMMA: {"kind": "embeddinggemma", "hidden_size": _HIDDEN_SIZE, "dimensions": [18, 9]},
}


def write_kinds(models_dir: Path, tokenizer_json: Path) -> Path:
    """Write the models and their catalog."""
    for model_id, family in _FAMILIES.items():
        write_family(models_dir / model_id.removeprefix("@local/"), family, tokenizer_json)
    _write_heads(models_dir / "m3")
    entries = (_entry(model_id, facts) for model_id, facts in _CATALOGUED.items())
    (models_dir / "catalog.toml").write_text("\n".join(entries), encoding="utf-8")
    return models_dir


def _entry(model_id: str, facts: dict[str, str | int | list[int]]) -> str:
    """Write one model's table; JSON's strings, numbers and lists are TOML's too."""
    members = {"id": model_id, **facts, "repository": "", "revision": ""}
    lines = [f"{name} = {json.dumps(value)}" for name, value in members.items()]
    return "\n".join(["[[model]]", *lines, "[[model.file]]", 'path = "config.json"', ""])


def _write_heads(folder: Path) -> None:
    """Write bge-m3's two heads; the second one's vectors are narrower than the states."""
    random = np.random.default_rng(0)
    for name, width in (("sparse_linear.pt", 1), ("colbert_linear.pt", 20)):
        weight = random.standard_normal((width, _HIDDEN_SIZE), np.float32)
        write_tensors(folder / name, {"weight": weight, "bias": weight[:, 0]})


def load_kind(settings: Settings, model_id: str) -> LoadedModel:
    """Load one of them, past any service."""
    return load_model(ModelStore(settings.models_dir).resolve(model_id), settings)
