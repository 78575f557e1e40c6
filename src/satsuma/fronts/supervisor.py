"""Starts the fronts, replaces one that dies, and ends them as one process would end.

The main process listens and accepts nothing: fronts inherit its socket, and the system hands each
connection to one of them. So a port stays open while a front is replaced.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import signal
import socket
from contextlib import suppress
from functools import partial
from typing import Final

from satsuma.api.listening import address_of, listen
from satsuma.api.server import OnReady
from satsuma.errors import FrontsFailedError, SatsumaError
from satsuma.fronts.connection import Handlers
from satsuma.fronts.host import Host
from satsuma.fronts.process import FrontProcess
from satsuma.outcomes import Refusal

_LOGGER = logging.getLogger("satsuma.serve")
_MAX_FAILED_STARTS: Final = 3  # in a row; then something is wrong that another try will not mend
_PAUSE_S: Final = 0.5  # after the first, and as much longer after each
_LONGEST_PAUSE_S: Final = 10.0
_GRACE_S: Final = 10.0  # beyond the drain: a ledger may be locked, and a front may hang
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


async def serve_by_fronts(host: Host, on_ready: OnReady) -> int:
    """Serve by `http_processes` fronts until SIGTERM or SIGINT, on the engine's event loop.

    Args:
        host: does their work.
        on_ready: called with the bound address and port, or the socket's path and 0, once all of
            them answer requests.

    Returns:
        The exit code: 0 if every accepted request was answered, 1 if some were cut.

    Raises:
        ConfigurationError: if the address cannot be listened on, or the certificate not be used.
        FrontsFailedError: if fronts end before they answer anything.
    """
    with listen(host.settings) as listener:
        return await Supervisor(host, listener, on_ready).run()


class Supervisor:
    """The fronts of one server. Belongs to the engine's event loop, in the main thread."""

    def __init__(self, host: Host, listener: socket.socket, on_ready: OnReady) -> None:
        """Prepare to start them; see `serve_by_fronts`."""
        self._host = host
        self._listener = listener
        self._numbers = itertools.count(1)
        self._fronts: dict[int, FrontProcess] = {}
        self._on_ready = on_ready
        self._ready: set[int] = set()  # of those that are there
        self._has_begun = False  # all of them were ready at one moment
        self._failure: SatsumaError | None = None
        self._draining = asyncio.Event()

    async def run(self) -> int:
        """Keep the fronts running; see `serve_by_fronts`."""
        loop = asyncio.get_running_loop()
        for one in _SIGNALS:
            loop.add_signal_handler(one, self._handle, one)
        keeping = [
            loop.create_task(self._keep()) for _ in range(self._host.settings.http_processes)
        ]
        adding_up = loop.create_task(self._host.totals.keep_fresh())
        try:
            codes = await asyncio.gather(*keeping)
        finally:
            self._end(*keeping, adding_up)
        if self._failure is not None:
            raise self._failure
        return max(map(abs, codes)) and 1

    def _handle(self, number: signal.Signals) -> None:
        """Drain; a SIGINT after that means it: leave at once, and the fronts follow."""
        if self._draining.is_set() and number == signal.SIGINT:
            asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            signal.raise_signal(signal.SIGINT)
        self._drain()

    def _drain(self) -> None:
        if not self._draining.is_set():
            self._draining.set()
            self._listener.close()  # else it would take connections after the last front is gone
            for front in self._fronts.values():
                front.drain()
            longest_s = self._host.settings.drain_s + _GRACE_S
            asyncio.get_running_loop().call_later(longest_s, self._kill)

    def _kill(self) -> None:
        for front in self._fronts.values():
            front.kill()

    async def _keep(self) -> int:
        """Keep one front running, by ever new processes; returns the last one's exit code."""
        num_failed = 0
        while not self._draining.is_set():
            number = next(self._numbers)
            code = await self._run_one(number)
            num_failed = 0 if number in self._ready else num_failed + 1
            self._ready.discard(number)
            if self._draining.is_set():
                return code
            _LOGGER.warning("HTTP process %d ended (%s): starting another", number, _say(code))
            if num_failed >= _MAX_FAILED_STARTS:
                self._give_up(FrontsFailedError(f"HTTP processes end at once ({_say(code)})."))
            await self._pause(min(num_failed * _PAUSE_S, _LONGEST_PAUSE_S))
        return 0

    async def _run_one(self, number: int) -> int:
        """Run a front to its end; one that the system has no room for has failed."""
        handlers: Handlers = {
            **self._host.handlers(number),
            "ready": partial(self._note_ready, number),
            "refuse": self._note_refusal,
        }
        try:
            front = await FrontProcess.start(self._listener, handlers)
        except (OSError, RuntimeError) as error:
            self._give_up(FrontsFailedError(f"An HTTP process cannot be started: {error}"))
            return 1
        self._fronts[number] = front
        if self._draining.is_set():
            front.drain()
        try:
            return await front.wait()
        finally:
            del self._fronts[number]
            self._host.connections.pop(number, None)
            self._host.totals.close(number)
            front.connection.close()

    async def _note_ready(self, number: int) -> None:
        front = self._fronts[number]
        self._ready.add(number)
        self._host.connections[number] = front.connection
        _LOGGER.info("HTTP process %d is ready (process id %d)", number, front.process.pid)
        is_complete = len(self._ready) == self._host.settings.http_processes
        if is_complete and not self._has_begun and not self._draining.is_set():
            self._has_begun = True
            self._on_ready(*address_of(self._listener))

    async def _note_refusal(self, refusal: Refusal) -> None:
        self._give_up(refusal.to_error())

    def _give_up(self, error: SatsumaError) -> None:
        """End the server for this, unless others serve: then the place is tried again."""
        if self._has_begun and self._ready:
            _LOGGER.error("an HTTP process cannot be replaced yet: %s", error)
            return
        self._failure = self._failure or error
        self._drain()

    async def _pause(self, seconds: float) -> None:
        """Wait, but not if the server is to end."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._draining.wait()

    def _end(self, *tasks: asyncio.Task[object]) -> None:
        for one in _SIGNALS:
            asyncio.get_running_loop().remove_signal_handler(one)
        for task in tasks:
            task.cancel()
        self._kill()


def _say(code: int) -> str:
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name
