"""A client that hangs up: its work is dropped, and nothing else is."""

from __future__ import annotations

import asyncio

import pytest
from starlette.requests import ClientDisconnect
from starlette.types import Message

from satsuma.api.inference import _LISTEN_AFTER_S, _unless_gone


async def leave(after_s: float) -> Message:
    """Hang up."""
    await asyncio.sleep(after_s)
    return {"type": "http.disconnect"}


async def work(takes_s: float) -> str:
    """Do something else."""
    await asyncio.sleep(takes_s)
    return "done"


async def test_work_for_nobody_is_dropped() -> None:
    """Soon after the client has gone."""
    async with asyncio.timeout(5):
        with pytest.raises(ClientDisconnect):
            await _unless_gone(work(60), lambda: leave(0))
    await asyncio.sleep(0)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_short_work_is_not_watched() -> None:
    """Listening would cost more than the work that it could spare."""
    calls: list[None] = []

    async def receive() -> Message:
        calls.append(None)
        return await leave(60)

    assert await _unless_gone(work(0), receive) == "done"
    assert not calls


@pytest.mark.parametrize("number", range(20))
async def test_a_client_that_leaves_at_the_end_cancels_nothing_else(number: int) -> None:
    """Whichever comes first, what follows in the same task goes on."""
    takes_s = 0.01 + (number - 10) * 1e-4
    try:
        assert await _unless_gone(work(_LISTEN_AFTER_S + takes_s), lambda: leave(0.01)) == "done"
    except ClientDisconnect:
        assert number >= 0
    for _ in range(3):
        await asyncio.sleep(0.001)


async def test_a_cancelled_request_stays_cancelled() -> None:
    """As when the server stops waiting for it."""
    task = asyncio.create_task(_unless_gone(work(60), lambda: leave(60)))
    await asyncio.sleep(_LISTEN_AFTER_S * 1.5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
