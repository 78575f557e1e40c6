"""Blocking work beside an event loop, in threads that no shutdown waits for.

`asyncio.to_thread` uses the loop's executor, whose threads a closing loop and a closing
interpreter join: a model that takes half a minute to load would keep a stopped server alive.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from queue import SimpleQueue
from typing import TypeVar

_T = TypeVar("_T")


async def run_in_background(work: Callable[[], _T]) -> _T:
    """Run blocking work in a daemon thread of its own, and wait for it.

    Cancelling the wait leaves the work running.

    Raises:
        BaseException: whatever the work raises.
    """
    future: Future[_T] = Future()
    _start_thread(_accept(work, future), "satsuma-background")
    try:
        return await asyncio.wrap_future(future)
    finally:
        del future, work  # an error's frames would keep them, and they it


class BackgroundThread:
    """One lasting daemon thread, which does blocking work in turn; it starts with the first.

    For work that allocates much: of ever new threads each takes whichever of glibc's arenas is
    free, and every arena keeps what such work has left between what is still in use.
    """

    def __init__(self, name: str) -> None:
        """Start nothing yet.

        Args:
            name: the thread's.
        """
        self._name = name
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._has_started = False

    async def run(self, work: Callable[[], _T]) -> _T:
        """Do it after what came before, and wait for it.

        Cancelling the wait leaves the work running.

        Raises:
            BaseException: whatever the work raises.
        """
        future: Future[_T] = Future()
        self._work.put(_accept(work, future))
        if not self._has_started:
            self._has_started = True
            _start_thread(self._serve, self._name)
        try:
            return await asyncio.wrap_future(future)
        finally:
            del future, work  # an error's frames would keep them, and they it

    def close(self) -> None:
        """Let it end after the work that it has; waits for nothing. Whoever comes later waits."""
        self._work.put(None)

    def _serve(self) -> None:
        while (do := self._work.get()) is not None:
            do()
            del do  # keeps no result alive while there is nothing to do


def _start_thread(do: Callable[[], None], name: str) -> None:
    threading.Thread(target=do, name=name, daemon=True).start()


def _accept(work: Callable[[], _T], future: Future[_T]) -> Callable[[], None]:
    """Give what does the work and settles its future, which no cancelled wait can cancel now."""
    future.set_running_or_notify_cancel()
    return partial(_settle, work, future)


def _settle(work: Callable[[], _T], future: Future[_T]) -> None:
    try:
        future.set_result(work())
    except BaseException as error:  # noqa: BLE001  it belongs to whoever waits
        future.set_exception(error)
    finally:
        del work, future
