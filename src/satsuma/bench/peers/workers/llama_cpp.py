"""llama.cpp through llama-cpp-python, with a GGUF of the same weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import llama_cpp  # type: ignore[import-not-found]
import numpy as np

from satsuma.bench.peers.protocol import Embedder, Options, Vectors, serve, unit


class LlamaCpp(Embedder):
    """`Llama.embed` as it comes: texts laid end to end in batches of 512 tokens, no padding."""

    packages = ("llama-cpp-python",)

    def __init__(self, options: Options) -> None:
        """Load the GGUF, which also says how to pool."""
        path = Path(options.folder) / "gguf" / f"model_{options.precision}.gguf"
        self._model = llama_cpp.Llama(
            str(path),
            embedding=True,
            n_threads=options.threads,
            n_threads_batch=options.threads,
            verbose=False,
        )

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Embed; the library's own normalisation is a loop in Python, numpy's is quicker."""
        return unit(np.array(self._model.embed(list(texts)), dtype=np.float32))


if __name__ == "__main__":
    serve(LlamaCpp)
