"""FastEmbed with the same weights, as a custom model from a local folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from fastembed import TextEmbedding  # type: ignore[import-not-found]
from fastembed.common.model_description import (  # type: ignore[import-not-found]
    ModelSource,
    PoolingType,
)

from satsuma.bench.peers.protocol import Embedder, Options, Vectors, serve

_NAME = "satsuma/benchmark"
_FILES = {"fp32": "onnx/model.onnx", "int8": "onnx/model_int8.onnx"}


class FastEmbed(Embedder):
    """`TextEmbedding.embed` as it comes: batches of 256 in order, padded to the longest."""

    packages = ("fastembed", "onnxruntime", "tokenizers")

    def __init__(self, options: Options) -> None:
        """Register the folder as a model and load it."""
        folder = Path(options.folder)
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        TextEmbedding.add_custom_model(
            model=_NAME,
            pooling=PoolingType[options.pooling.upper()],
            normalization=True,
            sources=ModelSource(hf=_NAME),
            dim=config["hidden_size"],
            model_file=_FILES[options.precision],
        )
        self._model = TextEmbedding(
            _NAME,
            threads=options.threads,
            specific_model_path=str(folder),
            providers=["CPUExecutionProvider"],
        )

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Embed."""
        return np.stack(list(self._model.embed(list(texts))))


if __name__ == "__main__":
    serve(FastEmbed)
