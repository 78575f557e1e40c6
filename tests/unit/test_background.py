"""Blocking work beside the loop."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Iterator
from contextlib import suppress
from functools import partial

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


async def test_a_failure_keeps_nothing_alive(lasting: BackgroundThread) -> None:
    """Not even until garbage is looked for: a refused body may be large."""
    gc.disable()
    try:
        for run in (lasting.run, run_in_background):
            refused = _Refused()
            is_there = weakref.ref(refused)
            with suppress(ZeroDivisionError):
                await run(partial(_refuse, refused))
            del refused
            for _ in range(1000):  # until the thread has let go of it too
                if is_there() is not None:
                    await asyncio.sleep(0.01)
            assert is_there() is None
    finally:
        gc.enable()


class _Refused:
    """Something that is in memory, or not."""


def _refuse(_refused: _Refused) -> None:
    raise ZeroDivisionError


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
