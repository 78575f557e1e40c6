"""Blocking work beside the loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from satsuma.background import BackgroundThread, run_in_background


@pytest.fixture
def lasting() -> Iterator[BackgroundThread]:
    """A thread, ended with the test."""
    one = BackgroundThread("lasting")
    yield one
    one.close()


async def test_a_lasting_thread_does_all_its_work(lasting: BackgroundThread) -> None:
    """The same thread, whatever comes between; elsewhere each work has its own."""
    first = await lasting.run(threading.current_thread)
    other = await run_in_background(threading.current_thread)
    assert await lasting.run(threading.current_thread) is first
    assert first is not other
    assert (first.name, first.daemon) == ("lasting", True)


async def test_what_fails_is_told_and_no_more(lasting: BackgroundThread) -> None:
    """The thread does what comes next."""
    with pytest.raises(ZeroDivisionError):
        await lasting.run(lambda: 1 // 0)
    assert await lasting.run(lambda: 1) == 1


async def test_whoever_waits_no_more_stops_no_work(lasting: BackgroundThread) -> None:
    """It is done all the same, and before what comes after it."""
    may_go_on, done = threading.Event(), []
    waiting = asyncio.create_task(lasting.run(lambda: done.append(may_go_on.wait(30))))
    await asyncio.sleep(0)  # it is handed over
    waiting.cancel()
    may_go_on.set()
    assert await lasting.run(done.copy) == [True]


async def test_a_closed_thread_ends_after_its_work(lasting: BackgroundThread) -> None:
    """Closing waits for nothing."""
    may_go_on = threading.Event()
    thread = await lasting.run(threading.current_thread)
    last = asyncio.create_task(lasting.run(lambda: may_go_on.wait(30)))
    await asyncio.sleep(0)  # it is handed over
    lasting.close()
    may_go_on.set()
    assert await last
    thread.join(30)
    assert not thread.is_alive()
