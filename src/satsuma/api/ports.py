"""What the HTTP surface needs of the service behind it, and nothing more of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from satsuma.stats import Stats
from satsuma.store.local import ModelStatus
from satsuma.store.manifest import ModelManifest
from satsuma.types import EmbedRequest, EmbedResult, TextTokens
from satsuma.usage.limiter import Holders
from satsuma.usage.quotas import Standing


class Readiness(Protocol):
    """Whether requests can be answered now, and by which models."""

    @property
    def is_ready(self) -> bool:
        """True once a model, whichever, can answer."""

    @property
    def reason(self) -> str:
        """Why not, in words; "" when ready."""

    @property
    def models(self) -> tuple[str, ...]:
        """Canonical ids of the models that can answer."""


class EmbeddingService(Protocol):
    """`satsuma.service.EmbeddingService`, as seen from here."""

    async def embed(self, request: EmbedRequest) -> EmbedResult:
        """Answer a request; raises subclasses of `SatsumaError`. May be cancelled."""

    def manifest(self, model: str) -> ModelManifest:
        """Find a model by any of its ids, without I/O; raises `ModelNotFoundError`."""

    async def check_installed(self, model: str) -> None:
        """Make sure that a model's weights are here; raises `ModelError`."""

    async def models(self) -> tuple[ModelStatus, ...]:
        """List the catalog's models and the others that are here; looks on the disk."""

    async def tokenize(self, model: str, texts: Sequence[str]) -> list[TextTokens]:
        """Tell how a model reads texts; raises subclasses of `SatsumaError`."""

    async def stats(self) -> Stats:
        """Say how busy the service is."""

    async def readiness(self) -> Readiness:
        """Say whether requests can be answered now."""


class QuotaKeeper(Protocol):
    """`satsuma.usage.limiter.Limiter`, as seen from here."""

    async def admit(self, holders: Holders) -> None:
        """Count a request; raises `RateLimitedError`."""

    async def hold(self, holders: Holders, num_tokens: int) -> None:
        """Take about as many tokens as a request has; raises `RateLimitedError`."""

    async def settle(self, holders: Holders, num_tokens: int) -> Sequence[Standing]:
        """Charge what was not held, or give back what was too much, and say what is left."""
