"""CTranslate2's encoder, fed as sentence-transformers would: sorted by length, batches of 32."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import ctranslate2  # type: ignore[import-not-found]
import numpy as np
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
_COMPUTE_TYPES = {"fp32": "float32", "int8": "int8_float32"}


class CTranslate2(Embedder):
    """The library pools nothing and sorts nothing; numpy does both here."""

    packages = ("ctranslate2", "tokenizers")

    def __init__(self, options: Options) -> None:
        """Load the converted model and the tokenizer."""
        self._encoder = ctranslate2.Encoder(
            str(Path(options.folder) / "ctranslate2" / options.precision),
            device="cpu",
            compute_type=_COMPUTE_TYPES[options.precision],
            intra_threads=options.threads,
        )
        self._tokenizer = tokenizers.Tokenizer.from_file(tokenizer_path(options))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(options.max_tokens)
        self._pooling = options.pooling

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Embed batch by batch, longest texts first, and put the vectors into the texts' order."""
        order = sorted(range(len(texts)), key=lambda index: -len(texts[index]))
        batches = in_batches([texts[index] for index in order], _BATCH_SIZE)
        by_length = np.concatenate([self._embed_batch(batch) for batch in batches])
        vectors = np.empty_like(by_length)
        vectors[order] = by_length
        return vectors

    def _embed_batch(self, texts: Sequence[str]) -> Vectors:
        ids = [one.ids for one in self._tokenizer.encode_batch(list(texts))]
        hidden = np.array(self._encoder.forward_batch(ids).last_hidden_state)  # (B, S, H)
        lengths = np.array([len(one) for one in ids])
        mask = np.arange(hidden.shape[1]) < lengths[:, None]
        return pool(hidden, mask, self._pooling)


if __name__ == "__main__":
    serve(CTranslate2)
