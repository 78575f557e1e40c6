"""The service without a server: on an event loop of its own, in a thread of its own."""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import Future
from dataclasses import replace

from satsuma.assembly import assemble
from satsuma.errors import ConfigurationError, ShuttingDownError
from satsuma.service import find_manifest
from satsuma.settings import Settings
from satsuma.store.local import ModelStore
from satsuma.store.manifest import ModelManifest
from satsuma.types import EmbedRequest, EmbedResult

_CLOSE_S = 30.0  # for the microbatches that run
_NO_DEADLINE_S = 1e9  # in process the caller waits as long as the texts need


class InProcessService:
    """Embeds with the models of this machine. Thread-safe."""

    def __init__(self, settings: Settings) -> None:
        """Start; models load on their first use.

        Args:
            settings: everything but a deadline and a limit on what waits, which there are not.
        """
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._is_closed = False
        patient = replace(settings, deadline_s=_NO_DEADLINE_S, max_waiting_tokens=0)
        self._store = ModelStore(settings.models_dir)
        self._manifests: dict[str, ModelManifest] = {}  # of models that are here, by name
        self._service = assemble(patient, self._store)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="satsuma-service", daemon=True
        )
        self._thread.start()

    def manifest(self, model: str) -> ModelManifest:
        """Look a model up in the catalog, and on the disk where that does not have it.

        Raises:
            ModelNotFoundError: if there is none.
        """
        if model not in self._manifests:
            known = find_manifest(self._store.catalog, model)
            manifest = known if known.files else self._store.info(model).manifest
            if not manifest.files:
                return manifest  # it is not here, which whoever asks it is told
            self._manifests[model] = manifest
        return self._manifests[model]

    def load(self, model: str) -> None:
        """Load a model now rather than on its first use; blocks until it is there.

        Raises:
            ModelError: whatever keeps it from loading.
        """
        asyncio.run_coroutine_threadsafe(self._service.load(model), self._loop).result()

    def embed_here(self, request: EmbedRequest) -> EmbedResult | None:
        """Answer a query in this thread, if its model is loaded and nothing else is to do.

        Returns:
            None if the request has to wait: `submit` it.

        Raises:
            ConfigurationError: as `submit`.
            SatsumaError: as `EmbeddingService.embed`.
        """
        self._check_caller()
        return self._service.embed_here(request)

    def submit(self, request: EmbedRequest) -> Future[EmbedResult]:
        """Answer a request, later; cancelling the future takes it out of the queue.

        Raises:
            ConfigurationError: if the process was forked, or the caller is a signal handler that
                has interrupted `embed_here`.
            ShuttingDownError: if this was closed.
        """
        self._check_caller()
        with self._lock:
            if self._is_closed:
                raise ShuttingDownError("This Ai is closed.")
            return asyncio.run_coroutine_threadsafe(self._service.embed(request), self._loop)

    def close(self) -> None:
        """Give up what waits, let the running microbatches end, and unload the models."""
        with self._lock:
            was_closed, self._is_closed = self._is_closed, True
        if was_closed or self._pid != os.getpid():
            return
        asyncio.run_coroutine_threadsafe(self._shut_down(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _check_caller(self) -> None:
        if self._pid != os.getpid():  # its threads stayed behind
            raise ConfigurationError("This Ai was made before a fork; make one in each process.")
        if self._service.is_interrupted_here:  # what it asks for would wait for the handler's end
            raise ConfigurationError(
                "A signal handler cannot use the Ai that it has interrupted; note the signal, and "
                "embed afterwards."
            )

    async def _shut_down(self) -> None:
        await self._service.close(_CLOSE_S)
        calls = asyncio.all_tasks() - {asyncio.current_task()}
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
