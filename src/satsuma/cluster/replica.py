"""One replica: the models and the engine of some cores of a node. Knows no HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ray import serve

from satsuma.assembly import assemble
from satsuma.background import run_in_background
from satsuma.cluster.logs import log_to_stderr
from satsuma.cluster.weights import fetch_missing
from satsuma.engine.machine import detect_cores, total_memory_bytes
from satsuma.errors import EngineError, SatsumaError
from satsuma.outcomes import Refusal
from satsuma.service import EmbeddingService
from satsuma.settings import Settings, load_settings
from satsuma.stats import Readiness, Stats
from satsuma.store.local import ModelStore
from satsuma.types import EmbedRequest, EmbedResult, TextTokens

_CLOSE_S = 5.0  # Serve has waited for the requests already
_NUM_ANNOUNCED = 16  # models that a replica says it has


class Replica:
    """Embeds requests; Serve makes and ends it, and calls it on one event loop."""

    def __init__(self, flags: Mapping[str, Any]) -> None:
        """Put the service together, without a model.

        Args:
            flags: settings that count on every node, `threads` among them; what they leave out
                the node's own environment and `satsuma.toml` say.
        """
        log_to_stderr()
        settings = _share_memory(load_settings(flags))
        self._store = ModelStore(settings.models_dir)
        self._service: EmbeddingService = assemble(settings, self._store)

    async def reconfigure(self, wanted: Mapping[str, Sequence[str]]) -> None:
        """Load models, fetching what is missing; Serve sends no request before.

        Args:
            wanted: their ids, as `models`.

        Raises:
            SatsumaError: if one cannot be loaded.
        """
        await run_in_background(lambda: fetch_missing(self._store, wanted["models"]))
        for model in wanted["models"]:
            await self._announce(self._service.manifest(model).id)

    async def embed(self, request: EmbedRequest) -> EmbedResult | Refusal:
        """Answer a request; an error is an answer too. Serve may cancel it."""
        try:
            await self._announce(self._service.manifest(request.model).id)
            return await self._service.embed(request)
        except SatsumaError as error:
            return Refusal.of(error)

    async def tokenize(self, model: str, texts: Sequence[str]) -> list[TextTokens] | Refusal:
        """Tell how a model reads texts; an error is an answer too."""
        try:
            return await self._service.tokenize(model, texts)
        except SatsumaError as error:
            return Refusal.of(error)

    async def stats(self) -> Stats:
        """Say how busy this replica is."""
        return await self._service.stats()

    async def readiness(self) -> Readiness:
        """Tell what `/ready` says of this replica."""
        return await self._service.readiness()

    async def check_health(self) -> None:
        """Let Serve replace a replica whose engine hangs or has died.

        Raises:
            EngineError: says what is wrong.
        """
        readiness = await self._service.readiness()
        if readiness.models and not readiness.is_ready:
            raise EngineError(readiness.reason)

    # Serve sends a model's requests to the replicas that have announced it. What is in memory is
    # decided by the memory budget alone.
    @serve.multiplexed(max_num_models_per_replica=_NUM_ANNOUNCED)  # type: ignore[untyped-decorator]
    async def _announce(self, model_id: str) -> str:
        """Load a model if it is not there, and say that it is."""
        await self._service.load(model_id)
        return model_id

    async def __del__(self) -> None:
        """Stop the engine's threads; Serve awaits it once the requests are done."""
        await self._service.close(_CLOSE_S)


def _share_memory(settings: Settings) -> Settings:
    """Leave the node's other replicas their part of the memory."""
    if settings.memory_budget_bytes:
        return settings
    share = min(1.0, settings.threads / detect_cores().usable)
    return replace(settings, memory_budget_bytes=int(total_memory_bytes() * share / 2))
