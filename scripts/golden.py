"""Record reference vectors with PyTorch's libraries, into tests/golden.

Two references: the real all-MiniLM-L6-v2, from its installed package, and BERTs of random weights
in bge's shapes, which `satsuma.bench.random_model` draws the same on every machine. Run it with
`make golden`; nothing else of satsuma needs these libraries. With `--stsb FILE` or the variable
STSB (stsbenchmark.tsv.gz), it also records the model's score on STS-B's test split.
"""

from __future__ import annotations

import argparse
import csv
import datetime as dt
import gzip
import importlib.metadata
import json
import os
import platform
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr  # type: ignore[import-untyped]
from sentence_transformers import SentenceTransformer  # type: ignore[import-not-found]
from transformers import (  # type: ignore[import-not-found]
    BertModel,
    PreTrainedTokenizerFast,
)

from satsuma.bench.random_model import (
    SHAPES,
    find_tokenizer_json,
    weights_digest,
    write_random_model,
)
from satsuma.types import FloatArray

GOLDEN = Path(__file__).resolve().parent.parent / "tests" / "golden"
LIBRARIES = ("torch", "transformers", "sentence-transformers", "tokenizers", "numpy")
SEED = 0

PARAGRAPH = (
    "The orange harvest came early that year, and the terraces above the bay smelled of blossom "
    "and cut wood. Crates went down to the quay by mule, by cart and, once the road was mended, "
    "by a lorry that nobody trusted on the bends. "
)
LONG_TEXTS = (
    PARAGRAPH * 4,
    "Chapter two. " + PARAGRAPH * 7,  # past all-MiniLM-L6-v2's 256 tokens
    PARAGRAPH * 11,  # past 512 tokens
)
SHORT_TEXTS = (
    "hello world",
    "Tell me a joke about Cloudflare",
    "The weather is sunny",
    "a",
    "Z",
    "7",
    "?",
    "A satsuma is a small, seedless citrus fruit that peels easily.",
    "HELLO World",
    "naïve café, façade, Ångström, jalapeño",
    "nai\u0308ve cafe\u0301",  # decomposed letters
    "Größe, Übermaß, Straße",
    "Łódź, Dvořák, Şişli, Đà Nẵng",
    "温州みかんは皮がむきやすい。",
    "温州蜜柑",
    "감귤은 겨울에 맛있다",
    "Мандарины созревают в ноябре",
    "البرتقال حلو",
    "संतरा मीठा है",
    "ส้มหวาน",
    "🍊",
    "I love 🍊🍊 and 👩\u200d👩\u200d👧\u200d👦 and 🇯🇵!",
    "  leading and trailing  ",
    "tabs\tand\nnew\r\nlines",
    "no\u00a0break,\u2003em space,\u200bzero width",
    " \t\n ",
    "!!! ... ??? --- ;;; :::",
    "(nested [brackets] {of} <all> kinds)",
    "3.14159265358979",
    "2026-11-22T17:08:00Z +1 (555) 010-9999",
    "1234567890" * 4,
    "orange " * 60,
    "the the the the the the the the",
    "antidisestablishmentarianism pneumonoultramicroscopicsilicovolcanoconiosis",
    "x" * 120,  # longer than WordPiece's longest word: one [UNK]
    "https://example.com/a/b?c=d&e=%20f#g",
    "SELECT vector FROM items WHERE id = 42; -- a comment",
    "def peel(fruit: Fruit) -> list[Segment]:\n    return fruit.segments",
    "[CLS] written out [SEP] [MASK] [PAD] [UNK]",
    "control\x07character and \ufffd replacement",
    "C'est l'été; it\u2019s \u201cquoted\u201d \u2014 with dashes\u2026",
)
RANDOM_TEXTS = (
    *SHORT_TEXTS[:4],
    *(SHORT_TEXTS[index] for index in (9, 13, 21, 30, 31)),
    *LONG_TEXTS,
)


class Reference:
    """A BertModel of transformers with pooling written out, one text at a time: no padding."""

    def __init__(self, folder: Path, max_tokens: int) -> None:
        """Load a model folder in fp32, with attention as plain matrix products."""
        self.tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
        self.model = BertModel.from_pretrained(
            folder, dtype=torch.float32, attn_implementation="eager"
        ).eval()
        self.max_tokens = max_tokens

    def record(self, text: str) -> dict[str, Any]:
        """Give one text's token count and its unit-length vectors, mean and cls."""
        all_ids = self.tokenizer(text, truncation=False, padding=False)["input_ids"]
        ids = self.tokenizer(text, truncation=True, max_length=self.max_tokens)["input_ids"]
        with torch.inference_mode():
            hidden = self.model(input_ids=torch.tensor([ids])).last_hidden_state[0]  # (T, H)
        return {
            "text": text,
            "num_tokens": len(ids),
            "is_truncated": len(all_ids) > len(ids),
            "mean": _unit(hidden.mean(dim=0).numpy()),
            "cls": _unit(hidden[0].numpy()),
        }


def main() -> None:
    """Record everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stsb", default=os.environ.get("STSB"), help="stsbenchmark.tsv.gz")
    stsb = parser.parse_args().stsb
    minilm = find_tokenizer_json().parent
    record_minilm(minilm)
    if stsb:
        record_stsb(minilm, Path(stsb))
    record_random("bge-small")
    record_random("bge-base")


def record_minilm(folder: Path) -> None:
    """Record all-MiniLM-L6-v2: mean by sentence-transformers, cls and a check by transformers."""
    sentences = SentenceTransformer(str(folder), device="cpu")
    reference = Reference(folder, max_tokens=sentences.max_seq_length)
    texts = (*SHORT_TEXTS, *LONG_TEXTS)
    items = [reference.record(text) for text in texts]
    vectors = sentences.encode(list(texts), batch_size=1)  # (B, H), unit length
    own = np.stack([item["mean"] for item in items])
    difference = float(np.abs(vectors - own).max())
    for item, vector in zip(items, vectors, strict=True):
        item["mean"] = vector
    about = {
        "model": "sentence-transformers/all-MiniLM-L6-v2",
        "mean_by": "sentence-transformers",
        "cls_by": "transformers BertModel",
        "weights_sha256": weights_digest(folder),
        "max_tokens": sentences.max_seq_length,
        "max_abs_difference_of_mean_between_libraries": difference,
    }
    write_golden("all_minilm_l6_v2", about, items)


def record_random(name: str) -> None:
    """Record a BERT of random weights, by transformers' BertModel."""
    shape = SHAPES[name]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_random_model(folder, shape, find_tokenizer_json(), seed=SEED)
        reference = Reference(folder, max_tokens=shape.max_positions)
        items = [reference.record(text) for text in RANDOM_TEXTS]
        digest = weights_digest(folder)
    about = {"shape": name, "seed": SEED, "weights_sha256": digest}
    about |= {"max_tokens": shape.max_positions, "by": "transformers BertModel"}
    write_golden(f"{name.replace('-', '_')}_random_seed{SEED}", about, items)


def record_stsb(folder: Path, source: Path) -> None:
    """Record the Spearman correlation on STS-B's test split, with cosine similarity."""
    with gzip.open(source, "rt", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    rows = [row for row in rows if row["split"] == "test"]
    sentences = SentenceTransformer(str(folder), device="cpu")
    left = sentences.encode([row["sentence1"] for row in rows])  # (B, H), unit length
    right = sentences.encode([row["sentence2"] for row in rows])
    spearman = spearmanr((left * right).sum(axis=1), [float(row["score"]) for row in rows])
    about = {
        "model": "sentence-transformers/all-MiniLM-L6-v2",
        "by": "sentence-transformers",
        "dataset": "STS-B, test split, cosine similarity",
        "num_pairs": len(rows),
        "spearman": float(spearman.statistic),
    }
    write_golden("all_minilm_l6_v2_stsb", about, [])


def write_golden(name: str, about: dict[str, Any], items: Sequence[dict[str, Any]]) -> None:
    """Write one file: what it is and what made it first, then an item a line."""
    head = {**about, "recorded": dt.datetime.now(tz=dt.UTC).date().isoformat()}
    head["python"] = platform.python_version()
    head["versions"] = {library: importlib.metadata.version(library) for library in LIBRARIES}
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()]
    if items:
        lines.append('"items": [\n' + ",\n".join(map(_item_line, items)) + "\n]")
    path = GOLDEN / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    print(f"{path.name}: {len(items)} texts, {path.stat().st_size:,} bytes")


def _item_line(item: dict[str, Any]) -> str:
    fields = {key: item[key] for key in ("text", "num_tokens", "is_truncated")}
    rows = ", ".join(f'"{key}": [{_numbers(item[key])}]' for key in ("mean", "cls"))
    return f"{json.dumps(fields)[:-1]}, {rows}}}"


def _numbers(vector: FloatArray) -> str:
    """Write float32 numbers as short as they still read back the same."""
    return ",".join(np.format_float_positional(value, unique=True) for value in vector)


def _unit(vector: FloatArray) -> FloatArray:
    wide = vector.astype(np.float64)
    unit: FloatArray = (wide / np.linalg.norm(wide)).astype(np.float32)
    return unit


if __name__ == "__main__":
    main()
