"""What the main process does for its fronts: the engine's work, and what must be one for all."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from prometheus_client.metrics_core import Metric

from satsuma.api.errors import UNEXPECTED, find_answer
from satsuma.api.identity import name_request
from satsuma.api.metrics import Metrics
from satsuma.api.ports import EmbeddingService
from satsuma.background import run_in_background
from satsuma.errors import SatsumaError
from satsuma.fronts.connection import Connection, Handlers
from satsuma.fronts.totals import Totals
from satsuma.fronts.wire import pack_result, unpack_request
from satsuma.settings import Settings
from satsuma.usage.limiter import Limiter

_LOGGER = logging.getLogger(__name__)


@dataclass
class Host:
    """Answers fronts' calls on the engine's event loop.

    Attributes:
        service: has the engine.
        settings: of the server.
        metrics: of the engine; a scrape tells them with the fronts'.
        on_job: called when a front has put a job into the queue.
        connections: the fronts that are there, by number.
        totals: what they have counted.
    """

    service: EmbeddingService
    settings: Settings
    metrics: Metrics
    on_job: Callable[[], None]
    connections: dict[int, Connection] = field(default_factory=dict)
    limiter: Limiter = field(default_factory=Limiter)
    totals: Totals = field(init=False)

    def __post_init__(self) -> None:
        """Begin to add up."""
        self.totals = Totals(self.connections)

    def handlers(self, number: int) -> Handlers:
        """List what a front may call; `number` is its own."""
        service = self.service
        return {
            "settings": self._settings,
            "embed": self._embed,
            "tokenize": service.tokenize,
            "check_installed": service.check_installed,
            "models": service.models,
            "stats": service.stats,
            "readiness": service.readiness,
            "admit": self.limiter.admit,
            "hold": self.limiter.hold,
            "settle": self.limiter.settle,
            "scrape": self._scrape,
            "keep_counts": partial(self._keep_counts, number),
            "note_job": self._note_job,
        }

    async def _settings(self) -> Settings:
        return self.settings

    async def _embed(self, request_id: str, packed: tuple[Any, ...]) -> tuple[Any, ...]:
        name_request(request_id)  # the engine's log lines tell it
        with _traceback_logged(request_id):
            return pack_result(await self.service.embed(unpack_request(packed)))

    async def _scrape(self, accept: str) -> tuple[bytes, str]:
        await self.totals.refresh()
        counted = self.totals.sum()
        return await run_in_background(lambda: self.metrics.write(accept, counted))

    async def _keep_counts(self, number: int, counted: list[Metric]) -> None:
        self.totals.note(number, counted)

    async def _note_job(self) -> None:
        self.on_job()


@contextmanager
def _traceback_logged(request_id: str) -> Iterator[None]:
    """Log where it happened, if nobody has words for an error: a front hears no more than those."""
    try:
        yield
    except SatsumaError as error:
        if find_answer(type(error)) is UNEXPECTED:
            _LOGGER.error("request %s: %s", request_id, error, exc_info=error)  # noqa: TRY400
        raise
