"""Which models are in memory: each loads on first use, and the least recently used one goes.

Belongs to one event loop, but for `peek` and `loaded`. Knows how to ask for a model, not where its
weights come from.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from satsuma.background import BackgroundThread, run_in_background
from satsuma.engine.load import LoadedModel
from satsuma.errors import ShuttingDownError
from satsuma.memory import give_back_memory

_LOGGER = logging.getLogger(__name__)

LoadModel = Callable[[str], LoadedModel]


@dataclass(slots=True)
class _Resident:
    """A model in memory."""

    model: LoadedModel
    num_users: int
    last_used_s: float = 0.0
    is_leaving: bool = False  # takes no new users: another model waits for its place


@dataclass(slots=True)
class _Load:
    """A model on its way into memory, and how many callers wait for it."""

    num_waiting: int = 0
    resident: _Resident | None = None
    task: asyncio.Task[_Resident] = field(init=False)


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
            load: model id -> loaded model; blocks, so it is called in a thread, always the same.
            measure: model id -> bytes that loading it will take.
            unload: called before a model is dropped.
            memory_budget_bytes: for all loaded models together. One model is always allowed.
        """
        self._load = load
        self._measure = measure
        self._unload = unload
        self._memory_budget_bytes = memory_budget_bytes
        self._residents: dict[str, _Resident] = {}
        self._loads: dict[str, _Load] = {}
        self._room_lock = asyncio.Lock()
        self._released = asyncio.Event()
        self._loader = BackgroundThread("satsuma-loader")
        self._is_closed = False

    @property
    def loaded_ids(self) -> tuple[str, ...]:
        """Ids of the models that can answer now, sorted."""
        return tuple(sorted(i for i, one in self._residents.items() if not one.is_leaving))

    @property
    def loaded(self) -> tuple[LoadedModel, ...]:
        """The models that can answer now, by id. Any thread may ask."""
        residents = sorted(self._residents.items())
        return tuple(resident.model for _, resident in residents)

    def peek(self, model_id: str) -> LoadedModel | None:
        """Give a model if it can answer now; it may go at any moment. Any thread may ask.

        Args:
            model_id: canonical.
        """
        resident = self._residents.get(model_id)
        if resident is None or resident.is_leaving:
            return None
        resident.last_used_s = time.monotonic()
        return resident.model

    @asynccontextmanager
    async def use(self, model_id: str) -> AsyncIterator[LoadedModel]:
        """Give a model and keep it in memory meanwhile; loads it first where needed.

        Args:
            model_id: canonical.

        Raises:
            ModelError: whatever keeps it from loading.
        """
        resident = self._residents.get(model_id)
        if resident is None or resident.is_leaving:
            resident = await self._wait_for_load(model_id)
        else:
            resident.num_users += 1
        try:
            yield resident.model
        finally:
            self._release(resident)

    async def check(self, model_id: str) -> None:
        """Make sure that a model is in memory or could be loaded.

        Raises:
            ModelError: if it is not here.
        """
        if model_id not in self._residents:
            await run_in_background(lambda: self._measure(model_id))

    def discard(self, model: LoadedModel) -> None:
        """Give a model to nobody any more: whoever asks next has it loaded anew."""
        resident = self._residents.get(model.id)
        if resident is not None and resident.model is model:
            resident.is_leaving = True

    async def close(self) -> None:
        """Unload everything, and whatever is being loaded as soon as it is."""
        self._is_closed = True
        loads = list(self._loads.values())
        await asyncio.gather(*(load.task for load in loads), return_exceptions=True)
        self._loader.close()
        for model_id in list(self._residents):
            self._drop(model_id)

    async def _wait_for_load(self, model_id: str) -> _Resident:
        """Load once, however many ask; a caller that goes away does not stop the load.

        Whoever waits counts as a user from the moment at which the model is there, so that it
        cannot be dropped before it was of any use.
        """
        if self._is_closed:
            raise ShuttingDownError("The server is stopping.")
        load = self._loads.get(model_id) or self._start_load(model_id)
        load.num_waiting += 1
        try:
            return await asyncio.shield(load.task)
        except BaseException:
            if load.resident is None:
                load.num_waiting -= 1
            else:
                self._release(load.resident)
            raise

    def _start_load(self, model_id: str) -> _Load:
        load = self._loads[model_id] = _Load()
        load.task = asyncio.create_task(self._load_into_room(model_id, load))
        load.task.add_done_callback(_note_failure)
        return load

    async def _load_into_room(self, model_id: str, load: _Load) -> _Resident:
        try:
            # Before the lock, so that a model that is not here fails at once.
            needed_bytes = await run_in_background(lambda: self._measure(model_id))
            async with self._room_lock:  # one load at a time, so that the budget holds
                if model_id in self._residents:  # it was discarded
                    await self._let_go(model_id)
                await self._make_room(needed_bytes)
                started_at_s = time.monotonic()
                model = await self._loader.run(lambda: self._load_and_tidy(model_id))
                _LOGGER.info("loaded %s in %.1f s", model_id, time.monotonic() - started_at_s)
                load.resident = _Resident(model, num_users=load.num_waiting)
                self._residents[model_id] = load.resident
                return load.resident
        finally:
            del self._loads[model_id]

    def _load_and_tidy(self, model_id: str) -> LoadedModel:
        """Load, then return what that and the models before it have left behind."""
        model = self._load(model_id)
        give_back_memory()
        return model

    def _release(self, resident: _Resident) -> None:
        resident.num_users -= 1
        resident.last_used_s = time.monotonic()
        self._released.set()

    async def _make_room(self, needed_bytes: int) -> None:
        """Drop models, least recently used first; a busy one finishes, and takes no new users."""
        while self._residents and self._used_bytes() + needed_bytes > self._memory_budget_bytes:
            victim = min(
                self._residents,
                key=lambda id_: (self._residents[id_].num_users > 0, self._last_used_s(id_)),
            )
            await self._let_go(victim)

    async def _let_go(self, model_id: str) -> None:
        """Drop a model once its users are done."""
        resident = self._residents[model_id]
        resident.is_leaving = True
        while resident.num_users:
            self._released.clear()
            await self._released.wait()
        self._drop(model_id)

    def _last_used_s(self, model_id: str) -> float:
        return self._residents[model_id].last_used_s

    def _used_bytes(self) -> int:
        return sum(resident.model.encoder.memory_bytes for resident in self._residents.values())

    def _drop(self, model_id: str) -> None:
        _LOGGER.info("unloading %s", model_id)
        resident = self._residents.pop(model_id)
        self._unload(resident.model)
        resident.model.encoder.close()


def _note_failure(task: asyncio.Task[_Resident]) -> None:
    """Log a failed load once, also when nobody waits for it any more."""
    if not task.cancelled() and task.exception() is not None:
        _LOGGER.warning("a model could not be loaded: %s", task.exception())
