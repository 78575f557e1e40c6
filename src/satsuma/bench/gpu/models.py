"""Models of real shape with random weights, and texts whose tokens are counted in advance."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from satsuma.bench.random_model import ModelShape, write_random_model

_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
_NUM_SPECIAL_TOKENS = 2  # of a text
MIXED = "mixed"
WORKLOADS = ("16", "128", "512", MIXED)
_SHORTEST, _LONGEST = 8, 512


def write_model(folder: Path, shape: ModelShape) -> Path:
    """Write a model folder that satsuma and sentence-transformers both read."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer_json = folder.parent / "tokenizer.json"
    _make_tokenizer(shape.vocab_size).save(str(tokenizer_json))
    write_random_model(folder, shape, tokenizer_json)
    fast = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "[PAD]"}
    fast |= {"model_max_length": shape.max_positions}  # type: ignore[dict-item]
    (folder / "tokenizer_config.json").write_text(json.dumps(fast), encoding="utf-8")
    return folder


def _make_tokenizer(vocab_size: int) -> Tokenizer:
    """Make one whose every word is a token."""
    names = [*_SPECIAL, *(f"w{number}" for number in range(vocab_size - len(_SPECIAL)))]
    vocabulary = {name: number for number, name in enumerate(names)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))  # noqa: S106 - a word
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    special = [(name, vocabulary[name]) for name in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=special
    )
    return tokenizer


def make_texts(workload: str, num_tokens: int, vocab_size: int) -> list[str]:
    """Make texts of a workload's lengths, about so many tokens together."""
    random = np.random.default_rng(0)
    words = vocab_size - len(_SPECIAL)
    return [
        " ".join(f"w{word}" for word in random.integers(words, size=length - _NUM_SPECIAL_TOKENS))
        for length in _draw_lengths(workload, num_tokens, random)
    ]


def _draw_lengths(workload: str, num_tokens: int, random: np.random.Generator) -> Sequence[int]:
    """Draw lengths; mixed ones are as often short as long, by their logarithm."""
    if workload != MIXED:
        return [int(workload)] * max(1, num_tokens // int(workload))
    lengths: list[int] = []
    while sum(lengths) < num_tokens:
        drawn = random.uniform(np.log(_SHORTEST), np.log(_LONGEST))
        lengths.append(round(float(np.exp(drawn))))
    return lengths


def text_tokens(text: str) -> int:
    """Count a text's tokens."""
    return len(text.split()) + _NUM_SPECIAL_TOKENS


def text_flops(shape: ModelShape, num_tokens: int) -> float:
    """Count what the products of a text's run multiply and add: layers and attention."""
    hidden, wide = shape.hidden_size, shape.intermediate_size
    layer = 2 * (4 * hidden * hidden + 2 * hidden * wide) + 4 * num_tokens * hidden
    return float(shape.num_layers * layer * num_tokens)
