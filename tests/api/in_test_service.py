"""A small service with the interface of `satsuma.service.EmbeddingService`, for the API's tests.

Vectors are predictable: a text's row is (characters, position in the request, 0.1). A text that
names a behaviour in its first word shows it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from satsuma.activity import Activity
from satsuma.errors import ModelNotFoundError
from satsuma.scheduler.admission import WaitingRoom
from satsuma.stats import LoadedFacts, Stats
from satsuma.store.catalog import bundled_catalog
from satsuma.store.local import ModelStatus
from satsuma.store.manifest import ModelManifest
from satsuma.store.places import ModelState
from satsuma.types import EmbedRequest, EmbedResult, Pooling, Precision, TextTokens, Timings, Usage

MODEL = "@cf/baai/bge-base-en-v1.5"


@dataclass(frozen=True)
class InTestReadiness:
    """What `readiness()` answers."""

    is_ready: bool = True
    reason: str = ""
    models: tuple[str, ...] = (MODEL,)


@dataclass
class InTestService:
    """Answers at once, or fails with `error`; the text `slow 0.5` takes half a second."""

    error: Exception | None = None
    ready: InTestReadiness = field(default_factory=InTestReadiness)
    num_truncated: int = 0
    state: ModelState = ModelState.INSTALLED
    requests: list[EmbedRequest] = field(default_factory=list)
    num_cancelled: int = 0

    async def embed(self, request: EmbedRequest) -> EmbedResult:
        """Make the predictable rows."""
        self.requests.append(request)
        if self.error is not None:
            raise self.error
        await self._wait(request.texts[0])
        rows = [(len(text), position, 0.1) for position, text in enumerate(request.texts)]
        return EmbedResult(
            vectors=np.array(rows, dtype=np.float32),
            pooling=request.pooling or Pooling.MEAN,
            usage=Usage(prompt_tokens=4 * len(request.texts)),
            timings=Timings(tokenise_s=0.00123, queue_s=0.0, inference_s=0.0125),
            num_truncated=self.num_truncated,
        )

    def manifest(self, model: str) -> ModelManifest:
        """Know one model."""
        if "@" + model.lstrip("@") != MODEL:
            raise ModelNotFoundError(f"{model} is in no catalog")
        return ModelManifest(MODEL, "", "", ())

    async def check_installed(self, model: str) -> None:
        """Have it, unless the test says otherwise."""
        if self.error is not None:
            raise self.error

    async def models(self) -> tuple[ModelStatus, ...]:
        """List the bundled catalog, of which the one model is here."""
        here, away = self.state, ModelState.NOT_INSTALLED
        return tuple(
            ModelStatus(one, here if one.id == MODEL else away, None, one.size_bytes)
            for one in bundled_catalog().manifests
        )

    async def tokenize(self, model: str, texts: Sequence[str]) -> list[TextTokens]:
        """Take each word for a token."""
        if self.error is not None:
            raise self.error
        return [
            TextTokens(len(text.split()) + 2, is_truncated=False, spans=((0, len(text)),))
            for text in texts
        ]

    async def stats(self) -> Stats:
        """Tell of one loaded model and of nothing that ever happened."""
        facts = LoadedFacts(MODEL, Precision.FP32, 1000, hidden_size=768, max_tokens=512)
        return Stats(1.5, WaitingRoom(0, 0.0), (facts,), Activity().report())

    async def readiness(self) -> InTestReadiness:
        """Give what the test set."""
        return self.ready

    async def _wait(self, text: object) -> None:
        word, _, seconds = str(text).partition(" ")
        if word != "slow":
            return
        try:
            await asyncio.sleep(float(seconds))
        except asyncio.CancelledError:
            self.num_cancelled += 1
            raise
