"""`satsuma`, whose engine fails on one word and is killed by another; else as it is.

What failed is tried again soon: no memory has to be found first.
"""

from __future__ import annotations

import os
import signal
from typing import Any

from satsuma import assembly
from satsuma.cli.main import main
from satsuma.engine.load import LoadedModel, load_model
from satsuma.engine.protocol import Microbatch, Width
from satsuma.errors import EngineError
from satsuma.jobs import states
from satsuma.types import FloatArray

POISON, DEADLY = "arsenic", "guillotine"


class PoisonedEncoder:
    """An encoder beside which two words are dangerous."""

    def __init__(self, loaded: LoadedModel) -> None:
        """Stand before a model's encoder."""
        self._encoder = loaded.encoder
        self._poison, self._deadly = (
            loaded.tokenizer.tokenize([word])[0].ids[1:-1].tolist() for word in (POISON, DEADLY)
        )

    def __getattr__(self, name: str) -> Any:
        """Leave the rest to the encoder."""
        return getattr(self._encoder, name)

    def encode(self, microbatch: Microbatch, width: Width) -> FloatArray:
        """Run, or not."""
        ids = microbatch.token_ids.tolist()
        if _holds(ids, self._deadly):
            os.kill(os.getpid(), signal.SIGKILL)
        if _holds(ids, self._poison):
            raise EngineError("poison")
        return self._encoder.encode(microbatch, width)


def _holds(ids: list[int], part: list[int]) -> bool:
    return any(ids[i : i + len(part)] == part for i in range(len(ids)))


def _load(*arguments: Any) -> LoadedModel:
    loaded = load_model(*arguments)
    return LoadedModel(
        loaded.id,
        PoisonedEncoder(loaded),
        loaded.tokenizer,
        loaded.pooling,
        loaded.precision,
    )


if __name__ == "__main__":
    setattr(assembly, "load_model", _load)  # noqa: B010 - on purpose, so not in its types
    setattr(states, "_PAUSES_S", (0.1, 0.3))  # noqa: B010
    main()
