"""Blocking work beside an event loop, in threads that no shutdown waits for.

`asyncio.to_thread` uses the loop's executor, whose threads a closing loop and a closing
interpreter join: a model that takes half a minute to load would keep a stopped server alive.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

_T = TypeVar("_T")


async def run_in_background(work: Callable[[], _T]) -> _T:
    """Run blocking work in a daemon thread of its own, and wait for it.

    Cancelling the wait leaves the work running.

    Raises:
        BaseException: whatever the work raises.
    """
    future: Future[_T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001  it belongs to whoever waits
            future.set_exception(error)

    future.set_running_or_notify_cancel()  # from here on a cancelled wait cannot cancel it
    threading.Thread(target=run, name="satsuma-background", daemon=True).start()
    return await asyncio.wrap_future(future)
