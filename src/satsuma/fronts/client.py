"""What a front asks of the process that has the engine, as the HTTP surface knows it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any, Final

from satsuma.api.identity import current_request_id
from satsuma.api.metrics import Metrics
from satsuma.errors import ShuttingDownError
from satsuma.fronts.connection import Connection
from satsuma.fronts.wire import pack_request, unpack_result
from satsuma.service import find_manifest
from satsuma.stats import Readiness, Stats
from satsuma.store.catalog import Catalog
from satsuma.store.local import ModelStatus
from satsuma.store.manifest import ModelManifest
from satsuma.types import EmbedRequest, EmbedResult, TextTokens
from satsuma.usage.limiter import Holders
from satsuma.usage.quotas import Standing

_ANSWERS_WITHIN_S: Final = 5.0
_NUM_KNOWN_NAMES: Final = 256


class DistantService:
    """`EmbeddingService` of another process. Errors are those of its methods there.

    What waits when that process ends gets `ShuttingDownError`.
    """

    def __init__(self, connection: Connection, catalog: Catalog) -> None:
        """Ask over this connection; names are looked up here."""
        self._connection = connection
        self._find_manifest = lru_cache(_NUM_KNOWN_NAMES)(partial(find_manifest, catalog))

    def manifest(self, model: str) -> ModelManifest:
        """Look a model up by any of its names.

        Raises:
            ModelNotFoundError: if there is none.
        """
        return self._find_manifest(model)

    async def embed(self, request: EmbedRequest) -> EmbedResult:
        """Answer one request. Cancelling it cancels it in the engine too."""
        packed = pack_request(request)
        return unpack_result(await self._connection.call("embed", current_request_id(), packed))

    async def tokenize(self, model: str, texts: Sequence[str]) -> list[TextTokens]:
        """Tell how a model reads texts."""
        tokens: list[TextTokens] = await self._connection.call("tokenize", model, texts)
        return tokens

    async def check_installed(self, model: str) -> None:
        """Make sure that a model's weights are here."""
        await self._connection.call("check_installed", model)

    async def models(self) -> tuple[ModelStatus, ...]:
        """List the catalog's models and the others that are here."""
        listed: tuple[ModelStatus, ...] = await self._connection.call("models")
        return listed

    async def stats(self) -> Stats:
        """Say how busy the service is."""
        stats: Stats = await self._connection.call("stats")
        return stats

    async def readiness(self) -> Readiness:
        """Say whether requests can be answered now; a silent engine's process cannot."""
        try:
            async with asyncio.timeout(_ANSWERS_WITHIN_S):
                readiness: Readiness = await self._connection.call("readiness")
        except (TimeoutError, ShuttingDownError):
            return Readiness(is_ready=False, reason="the engine does not answer", models=())
        return readiness


class DistantLimiter:
    """The one `Limiter` of a server's processes."""

    def __init__(self, connection: Connection) -> None:
        """Ask over this connection."""
        self._connection = connection

    async def admit(self, holders: Holders) -> None:
        """Count a request.

        Raises:
            RateLimitedError: if one of them has used up the minute's.
        """
        await self._connection.call("admit", holders)

    async def hold(self, holders: Holders, num_tokens: int) -> None:
        """Take about as many tokens as a request has; should this process end, they stay taken.

        Raises:
            RateLimitedError: if one of them has none left.
        """
        await self._connection.call("hold", holders, num_tokens)

    async def settle(self, holders: Holders, num_tokens: int) -> Sequence[Standing]:
        """Charge or give back the rest, and say what is left; nothing once the server stops."""
        try:
            standings: list[Standing] = await self._connection.call("settle", holders, num_tokens)
        except ShuttingDownError:  # the answer is there, and is not lost for this
            return ()
        return standings


class FrontMetrics(Metrics):
    """One front's counts; what it shows are the whole server's."""

    def __init__(self, connection: Connection) -> None:
        """Start at zero; a scrape asks over this connection."""
        super().__init__()
        self._connection = connection

    async def scrape(self, accept: str) -> tuple[bytes, str]:
        """Give the text that the main process makes of every process's counts."""
        written: tuple[bytes, str] = await self._connection.call("scrape", accept)
        return written

    async def hand_over(self) -> Any:
        """Leave the counts to the main process, at this one's end."""
        await self._connection.call("keep_counts", self.counted())
