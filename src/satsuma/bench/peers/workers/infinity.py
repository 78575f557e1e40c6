"""infinity's engine in process, without its HTTP server."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np
import torch
from infinity_emb import AsyncEmbeddingEngine, EngineArgs  # type: ignore[import-not-found]

from satsuma.bench.peers.protocol import Embedder, Options, Vectors, serve


class Infinity(Embedder):
    """`AsyncEmbeddingEngine.embed` as it comes: batches of 32.

    Its BetterTransformer needs a version of optimum that is gone; torch's own fused attention
    does the same since 2.1.
    """

    packages = ("infinity-emb", "sentence-transformers", "torch")

    def __init__(self, options: Options) -> None:
        """Load the model and start the engine's threads."""
        torch.set_num_threads(options.threads)
        arguments = EngineArgs(
            model_name_or_path=options.folder,
            engine="torch",
            device="cpu",
            dtype="float32",
            bettertransformer=False,
            model_warmup=False,
        )
        self._loop = asyncio.new_event_loop()
        self._engine = AsyncEmbeddingEngine.from_args(arguments)
        self._loop.run_until_complete(self._engine.astart())

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Embed."""
        vectors, _ = self._loop.run_until_complete(self._engine.embed(sentences=list(texts)))
        return np.stack(vectors)

    def close(self) -> None:
        """Stop the engine's threads."""
        self._loop.run_until_complete(self._engine.astop())


if __name__ == "__main__":
    serve(Infinity)
