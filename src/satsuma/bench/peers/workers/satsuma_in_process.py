"""satsuma by its Python call, in this process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from satsuma.ai import Ai
from satsuma.bench.peers.protocol import Embedder, Options, Vectors, serve
from satsuma.engine.native.packing import PRECISIONS


def check_precision(precision: str) -> None:
    """Refuse what this version of satsuma does not have.

    Raises:
        ValueError: says what it has.
    """
    known = [str(one) for one in PRECISIONS]
    if precision not in known:
        raise ValueError(f"{precision} is not supported by this build, which has {known}")


class InProcess(Embedder):
    """`Ai().run(model, {"text": texts})`."""

    packages = ("onnxruntime", "tokenizers")

    def __init__(self, options: Options) -> None:
        """Load the model, as the first call of a program does."""
        check_precision(options.precision)
        folder = Path(options.folder)
        self._model = f"@local/{folder.name}"
        self._ai = Ai(
            models_dir=folder.parent,
            threads=options.threads,
            device="cpu",
            precision=options.precision,
            skip_self_test=True,
        )
        self.embed(["ready"])

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Embed."""
        vectors: Vectors = self._ai.run(self._model, {"text": list(texts)})["data"]
        return vectors

    def close(self) -> None:
        """Stop the engine's threads."""
        self._ai.close()


if __name__ == "__main__":
    serve(InProcess)
