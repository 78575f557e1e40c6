"""A front: the whole HTTP surface in a process of its own, before an engine in another."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from satsuma.api.app import create_app
from satsuma.api.drain import Drain
from satsuma.api.metering import Counts, Traces
from satsuma.api.server import serve_on
from satsuma.auth.tokens import TOKENS_FILE, TokenStore
from satsuma.background import run_in_background
from satsuma.errors import SatsumaError
from satsuma.fronts.client import DistantLimiter, DistantService, FrontMetrics
from satsuma.fronts.connection import Connection, connect
from satsuma.jobs.assembly import Jobs, open_jobs
from satsuma.memory import calm_collector
from satsuma.outcomes import Refusal
from satsuma.settings import Settings
from satsuma.store.local import ModelStore
from satsuma.usage.ledger import USAGE_FILE, Ledger
from satsuma.usage.writing import keep_writing, write_once

_CUT_S: Final = 1.0  # after the main process is gone
_SURELY_GONE_S: Final = 0.05  # a process's sockets are closed before its children lose their parent
_HAND_OVER_S: Final = 2.0
_REFUSED: Final = 2  # exit code, once the main process has been told why

Prepare = Callable[[Settings], Traces | None]


class Front:
    """One front's life, from its connection to its exit code."""

    def __init__(self) -> None:
        """Begin with nothing, not even the settings."""
        self._drain = Drain()  # until the application has its own
        self._metrics: FrontMetrics | None = None
        self._parent_id = os.getppid()

    async def run(self, end: socket.socket, listener: socket.socket, prepare: Prepare) -> int:
        """Serve until the main process says so, or is gone, or this one gets SIGTERM.

        Args:
            end: of the connection to the main process.
            listener: what to accept from.
            prepare: sets this process up by the settings, and opens its traces.

        Returns:
            The process's exit code.
        """
        handlers = {"drain": self._start_drain, "count": self._count}
        connection = await connect(end, handlers, lambda: self._leave(listener))
        try:
            settings: Settings = await connection.call("settings")
            return await self._serve(connection, listener, settings, prepare(settings))
        except SatsumaError as error:
            with suppress(SatsumaError):
                await connection.call("refuse", Refusal.of(error))
            return _REFUSED

    async def _serve(
        self,
        connection: Connection,
        listener: socket.socket,
        settings: Settings,
        traces: Traces | None,
    ) -> int:
        service = DistantService(connection, ModelStore(settings.models_dir).catalog)
        metrics = self._metrics = FrontMetrics(connection)
        ledger = Ledger(settings.data_dir / USAGE_FILE)
        tokens = TokenStore(settings.data_dir / TOKENS_FILE)
        jobs = open_front_jobs(settings, connection, service)
        counts = Counts(metrics, ledger, traces, DistantLimiter(connection))
        app = create_app(service, settings, tokens, jobs.queue, counts)
        self._take_over(app.state.drain)
        calm_collector()
        writing = asyncio.create_task(keep_writing(ledger))
        try:
            return await serve_on(
                listener, app, settings, lambda *_: connection.tell("ready"), leaves_others=True
            )
        finally:
            writing.cancel()
            await write_once(ledger)
            with suppress(SatsumaError, TimeoutError):
                async with asyncio.timeout(_HAND_OVER_S):
                    await metrics.hand_over()
            jobs.close()
            if traces is not None:
                await run_in_background(traces.close)

    def _take_over(self, drain: Drain) -> None:
        """Drain by the application's from now on; perhaps one has been asked for already."""
        if self._drain.is_draining:
            drain.start()
        self._drain = drain

    async def _start_drain(self) -> None:
        self._drain.start()

    async def _count(self) -> Any:
        return self._metrics.counted() if self._metrics is not None else []

    def _leave(self, listener: socket.socket) -> None:
        """End soon: without the main process there is no engine, and nobody who would be told."""
        drain, loop = self._drain, asyncio.get_running_loop()
        drain.start()
        loop.call_later(_SURELY_GONE_S, self._free, listener)
        loop.call_later(_CUT_S, drain.cut)

    def _free(self, listener: socket.socket) -> None:
        """Stop listening, for all fronts at once: the address is wanted for a successor.

        Unless the connection alone was lost, for then another front goes on with the address.
        """
        if os.getppid() != self._parent_id:
            with suppress(OSError):  # where the system has no such thing, it is free a little later
                listener.shutdown(socket.SHUT_RDWR)


def open_front_jobs(settings: Settings, connection: Connection, service: DistantService) -> Jobs:
    """Take jobs in and tell of them; the main process works on them."""
    ours = replace(settings, no_queue_worker=True)
    jobs = open_jobs(ours, service.embed, is_stuck=lambda: False)
    jobs.queue.on_arrival = lambda: connection.tell("note_job")
    return jobs
