"""What an encoder must compute, written as the papers write it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from satsuma.types import FloatArray, IntArray


def numpy_bert(folder: Path, token_ids: IntArray) -> FloatArray:
    """The textbook encoder for one text: (T,) -> (T, H), in float64."""
    weights = {
        name: w.astype(np.float64) for name, w in load_file(folder / "model.safetensors").items()
    }
    config = json.loads((folder / "config.json").read_text())
    heads, activation = config["num_attention_heads"], config["hidden_act"]

    def linear(name: str, x: Any) -> Any:
        return x @ weights[name + ".weight"].T + weights[name + ".bias"]

    def norm(name: str, x: Any) -> Any:
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + config["layer_norm_eps"])
        return scaled * weights[name + ".weight"] + weights[name + ".bias"]

    def attend(prefix: str, x: Any) -> Any:
        q, k, v = (
            linear(f"{prefix}.self.{part}", x).reshape(len(x), heads, -1).swapaxes(0, 1)
            for part in ("query", "key", "value")
        )  # (heads, T, H / heads) each
        scores = q @ k.swapaxes(1, 2) / math.sqrt(q.shape[-1])
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = (scores / scores.sum(-1, keepdims=True)) @ v
        return norm(
            f"{prefix}.output.LayerNorm",
            x + linear(f"{prefix}.output.dense", mixed.swapaxes(0, 1).reshape(x.shape)),
        )

    def activate(x: Any) -> Any:
        if activation == "relu":
            return np.maximum(x, 0)
        return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))

    x = weights["embeddings.word_embeddings.weight"][token_ids]
    x = x + weights["embeddings.position_embeddings.weight"][: len(token_ids)]
    x = norm("embeddings.LayerNorm", x + weights["embeddings.token_type_embeddings.weight"][0])
    for layer in range(config["num_hidden_layers"]):
        prefix = f"encoder.layer.{layer}"
        x = attend(f"{prefix}.attention", x)
        wide = activate(linear(f"{prefix}.intermediate.dense", x))
        x = norm(f"{prefix}.output.LayerNorm", x + linear(f"{prefix}.output.dense", wide))
    return np.asarray(x, dtype=np.float32)
