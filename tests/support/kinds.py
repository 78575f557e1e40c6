"""A models' folder with a tiny random model of each kind, and a catalog that says what they are."""

from __future__ import annotations

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

_CATALOG = f"""
[[model]]
id = "{M3}"
kind = "bge-m3"
repository = ""
revision = ""
pooling = "cls"
[[model.file]]
path = "config.json"

[[model]]
id = "{RERANKER}"
kind = "reranker"
repository = ""
revision = ""
[[model.file]]
path = "config.json"

[[model]]
id = "{QWEN3}"
kind = "qwen3-embedding"
repository = ""
revision = ""
hidden_size = 36
min_dimensions = 8
[[model.file]]
path = "config.json"

[[model]]
id = "{GEMMA}"
kind = "embeddinggemma"
repository = ""
revision = ""
hidden_size = 36
dimensions = [18, 9]
[[model.file]]
path = "config.json"
"""


def write_kinds(models_dir: Path, tokenizer_json: Path) -> Path:
    """Write the models and their catalog."""
    for model_id, family in _FAMILIES.items():
        write_family(models_dir / model_id.removeprefix("@local/"), family, tokenizer_json)
    _write_heads(models_dir / "m3")
    (models_dir / "catalog.toml").write_text(_CATALOG, encoding="utf-8")
    return models_dir


def _write_heads(folder: Path) -> None:
    """Write bge-m3's two heads; the second one's vectors are narrower than the states."""
    random = np.random.default_rng(0)
    for name, width in (("sparse_linear.pt", 1), ("colbert_linear.pt", 20)):
        weight = random.standard_normal((width, _HIDDEN_SIZE), np.float32)
        write_tensors(folder / name, {"weight": weight, "bias": weight[:, 0]})


def load_kind(settings: Settings, model_id: str) -> LoadedModel:
    """Load one of them, past any service."""
    return load_model(ModelStore(settings.models_dir).resolve(model_id), settings)
