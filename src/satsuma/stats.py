"""How the service is: whether it can answer, what is loaded, what waits, what it did of late."""

from __future__ import annotations

from dataclasses import dataclass

from satsuma.activity import ActivityReport
from satsuma.engine.load import LoadedModel
from satsuma.scheduler.admission import WaitingRoom
from satsuma.types import Precision


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether a model can answer now, and if not, why."""

    is_ready: bool
    reason: str
    models: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LoadedFacts:
    """A model in memory.

    Attributes:
        id: canonical.
        precision: the arithmetic of its weights.
        memory_bytes: what keeping it loaded costs.
        hidden_size: width of its vectors.
        max_tokens: longest item, [CLS] and [SEP] included.
    """

    id: str
    precision: Precision
    memory_bytes: int
    hidden_size: int
    max_tokens: int

    @classmethod
    def of(cls, model: LoadedModel) -> LoadedFacts:
        """Look at a loaded model."""
        return cls(
            id=model.id,
            precision=model.precision,
            memory_bytes=model.encoder.memory_bytes,
            hidden_size=model.encoder.hidden_size,
            max_tokens=model.tokenizer.max_tokens,
        )


@dataclass(frozen=True, slots=True)
class Stats:
    """What the service has to do, and what it did in the last minute.

    Attributes:
        uptime_s: since the service was made.
        waiting: what is admitted and not done.
        models: those in memory.
        activity: the last minute.
    """

    uptime_s: float
    waiting: WaitingRoom
    models: tuple[LoadedFacts, ...]
    activity: ActivityReport
