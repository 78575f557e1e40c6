"""Which models are in memory: each loads on first use, and the least recently used one goes.

Belongs to one event loop. Knows how to ask for a model, not where its weights come from.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from satsuma.engine.load import LoadedModel

_LOGGER = logging.getLogger(__name__)

LoadModel = Callable[[str], LoadedModel]


@dataclass(slots=True)
class _Resident:
    """A model in memory."""

    model: LoadedModel
    num_users: int = 0
    last_used_s: float = 0.0


class Residency:
    """Keeps models loaded within a memory budget."""

    def __init__(
        self,
        load: LoadModel,
        measure: Callable[[str], int],
        unload: Callable[[LoadedModel], None],
        memory_budget_bytes: int,
    ) -> None:
        """Start with nothing in memory.

        Args:
            load: model id -> loaded model; blocks, so it is called in a thread.
            measure: model id -> bytes that loading it will take.
            unload: called before a model is dropped.
            memory_budget_bytes: for all loaded models together. One model is always allowed.
        """
        self._load = load
        self._measure = measure
        self._unload = unload
        self._memory_budget_bytes = memory_budget_bytes
        self._residents: dict[str, _Resident] = {}
        self._loading: dict[str, asyncio.Task[None]] = {}
        self._room_lock = asyncio.Lock()
        self._released = asyncio.Event()

    @property
    def loaded_ids(self) -> tuple[str, ...]:
        """Ids of the models that can answer now, sorted."""
        return tuple(sorted(self._residents))

    @asynccontextmanager
    async def use(self, model_id: str) -> AsyncIterator[LoadedModel]:
        """Give a model and keep it in memory meanwhile; loads it first where needed.

        Args:
            model_id: canonical.

        Raises:
            ModelError: whatever keeps it from loading.
        """
        while (resident := self._residents.get(model_id)) is None:
            await self._ensure(model_id)
        resident.num_users += 1
        try:
            yield resident.model
        finally:
            resident.num_users -= 1
            resident.last_used_s = time.monotonic()
            self._released.set()

    def close(self) -> None:
        """Unload everything."""
        for model_id in self.loaded_ids:
            self._drop(model_id)

    async def _ensure(self, model_id: str) -> None:
        """Load once, however many ask; a caller that goes away does not stop the load."""
        task = self._loading.get(model_id)
        if task is None:
            task = asyncio.create_task(self._load_into_room(model_id))
            self._loading[model_id] = task
            task.add_done_callback(lambda _: self._loading.pop(model_id))
        await asyncio.shield(task)

    async def _load_into_room(self, model_id: str) -> None:
        async with self._room_lock:  # one load at a time, so that the budget holds
            needed_bytes = await asyncio.to_thread(self._measure, model_id)
            await self._make_room(needed_bytes)
            started_at_s = time.monotonic()
            model = await asyncio.to_thread(self._load, model_id)
            _LOGGER.info("loaded %s in %.1f s", model_id, time.monotonic() - started_at_s)
            self._residents[model_id] = _Resident(model, last_used_s=time.monotonic())

    async def _make_room(self, needed_bytes: int) -> None:
        """Drop idle models, least recently used first; wait for a busy one if there is no other."""
        while self._residents and self._used_bytes() + needed_bytes > self._memory_budget_bytes:
            idle = [id_ for id_, resident in self._residents.items() if resident.num_users == 0]
            if idle:
                self._drop(min(idle, key=lambda id_: self._residents[id_].last_used_s))
            else:
                self._released.clear()
                await self._released.wait()

    def _used_bytes(self) -> int:
        return sum(resident.model.encoder.memory_bytes for resident in self._residents.values())

    def _drop(self, model_id: str) -> None:
        _LOGGER.info("unloading %s", model_id)
        resident = self._residents.pop(model_id)
        self._unload(resident.model)
        resident.model.encoder.close()
