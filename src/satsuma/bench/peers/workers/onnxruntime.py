"""Plain ONNX Runtime, as a short script uses it: batches of 32 in order, padded to the longest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import tokenizers

from satsuma.bench.peers.protocol import (
    Embedder,
    Options,
    Vectors,
    in_batches,
    pool,
    serve,
    tokenizer_path,
)

_BATCH_SIZE = 32
_FILES = {"fp32": "model.onnx", "int8": "model_int8.onnx"}


class OnnxRuntime(Embedder):
    """The exported graph, all graph optimisations on, as is the default."""

    packages = ("onnxruntime", "tokenizers")

    def __init__(self, options: Options) -> None:
        """Load graph and tokenizer."""
        session_options = onnxruntime.SessionOptions()
        session_options.intra_op_num_threads = options.threads
        graph = Path(options.folder) / "onnx" / _FILES[options.precision]
        self._session = onnxruntime.InferenceSession(
            str(graph), session_options, providers=["CPUExecutionProvider"]
        )
        self._inputs = {one.name for one in self._session.get_inputs()}
        self._tokenizer = tokenizers.Tokenizer.from_file(tokenizer_path(options))
        self._tokenizer.enable_truncation(options.max_tokens)
        self._tokenizer.enable_padding()
        self._pooling = options.pooling

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Embed batch by batch."""
        return np.concatenate([self._embed_batch(b) for b in in_batches(texts, _BATCH_SIZE)])

    def _embed_batch(self, texts: Sequence[str]) -> Vectors:
        encodings = self._tokenizer.encode_batch(list(texts))
        feeds = {
            "input_ids": np.array([one.ids for one in encodings], dtype=np.int64),
            "attention_mask": np.array([one.attention_mask for one in encodings], dtype=np.int64),
            "token_type_ids": np.array([one.type_ids for one in encodings], dtype=np.int64),
        }
        used = {name: array for name, array in feeds.items() if name in self._inputs}
        hidden = self._session.run(["last_hidden_state"], used)[0]  # (B, S, H)
        return pool(hidden, feeds["attention_mask"], self._pooling)


if __name__ == "__main__":
    serve(OnnxRuntime)
