"""Record what transformers and sentence-transformers compute for small models of each family.

`make golden` runs this after golden.py, in the same environment of its own. Each family's weights
are drawn from a seed (tests/support/families.py), so that only a few rows of numbers are kept.
"""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import json
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer  # type: ignore[import-not-found]
from transformers import (  # type: ignore[import-not-found]
    AutoModel,
    AutoModelForSequenceClassification,
)

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from support.families import CONFIGS, MODULES, PROMPTS, random_items, write_family  # noqa: E402

from satsuma.bench.random_model import find_tokenizer_json  # noqa: E402
from satsuma.types import FloatArray  # noqa: E402

GOLDEN = ROOT / "tests" / "golden"
LIBRARIES = ("torch", "transformers", "sentence-transformers", "tokenizers", "numpy")
EVERY = 13  # rows of a long text that are kept, beside its last
TEXTS = (
    "hello world",
    "A satsuma is a small, seedless citrus fruit that peels easily.",
    "The orange harvest came early that year. " * 20,  # cut at 100 tokens
)


def main() -> None:
    """Record every family."""
    recorded = {name: record(name) for name in CONFIGS}
    head = {
        "by": "transformers, eager attention, one text at a time",
        "recorded": dt.datetime.now(tz=dt.UTC).date().isoformat(),
        "python": platform.python_version(),
        "versions": {library: importlib.metadata.version(library) for library in LIBRARIES},
    }
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()]
    lines += [f'"{name}": {json.dumps(content)}' for name, content in recorded.items()]
    path = GOLDEN / "families.json"
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    print(f"{path.name}: {path.stat().st_size:,} bytes")
    save_tensors(GOLDEN / "tensors.bin")


def save_tensors(path: Path) -> None:
    """Save some tensors as PyTorch does, for the reader of such files."""
    table = torch.arange(24, dtype=torch.float32).reshape(6, 4)
    tensors = {
        "single": table,
        "half": table.half(),
        "brain": table.bfloat16(),
        "parameter": torch.nn.Parameter(table * 2),
        "part": table[2:4],
        "turned": table.T,
        "ids": torch.arange(5),
        "empty": torch.zeros(0),
    }
    torch.save(tensors, path)
    print(f"{path.name}: {path.stat().st_size:,} bytes")


def record(name: str) -> dict[str, Any]:
    """Record one family: rows of hidden states (or scores), and whole texts' vectors."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = write_family(Path(temporary) / name, name, find_tokenizer_json())
        is_classifier = "Classification" in CONFIGS[name]["architectures"][0]
        states = score(folder) if is_classifier else hidden_states(folder)
        vectors = embed(folder, name) if name in MODULES else []
    return {"states": states, "vectors": vectors}


def hidden_states(folder: Path) -> list[dict[str, Any]]:
    """Record rows of each item's last hidden states."""
    model = AutoModel.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    recorded = []
    for item in random_items():
        with torch.inference_mode():
            output = model(input_ids=torch.tensor(item[None]))
        rows = sorted({*range(0, len(item), EVERY), len(item) - 1})
        values = output.last_hidden_state[0].numpy()[rows]  # (rows, H)
        recorded.append({"rows": rows, "values": [numbers(value) for value in values]})
    return recorded


def score(folder: Path) -> list[dict[str, Any]]:
    """Record each item's score."""
    model = AutoModelForSequenceClassification.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    recorded = []
    for item in random_items():
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor(item[None])).logits[0].numpy()  # (labels,)
        recorded.append({"rows": [0], "values": [numbers(logits)]})
    return recorded


def embed(folder: Path, name: str) -> list[dict[str, Any]]:
    """Record sentence-transformers' vectors, with each of the model's prompts."""
    sentences = SentenceTransformer(str(folder), device="cpu")
    recorded = []
    for prompt in (None, *PROMPTS.get(name, {})):
        vectors = sentences.encode(list(TEXTS), batch_size=1, prompt_name=prompt)  # (B, H)
        for text, vector in zip(TEXTS, vectors, strict=True):
            recorded.append({"text": text, "prompt": prompt, "vector": numbers(vector)})
    return recorded


def numbers(vector: FloatArray) -> list[float]:
    """Keep float32 numbers as short as they still read back the same."""
    return [float(np.format_float_positional(value, unique=True)) for value in vector]


if __name__ == "__main__":
    main()
