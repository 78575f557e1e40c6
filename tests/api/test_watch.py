"""A client that hangs up: its work is dropped, and nothing else is."""

from __future__ import annotations

import asyncio

import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message, Receive

from satsuma.api.hangup import Hangup, with_hangup
from satsuma.api.inference import _LISTEN_AFTER_S, _unless_gone


async def leave(after_s: float) -> Message:
    """Hang up."""
    await asyncio.sleep(after_s)
    return {"type": "http.disconnect"}


async def work(takes_s: float) -> str:
    """Do something else."""
    await asyncio.sleep(takes_s)
    return "done"


def asking(receive: Receive) -> Request:
    """A request over another server's connection, which tells nothing of its end."""
    return Request({"type": "http"}, receive)


def asking_over(hangup: Hangup) -> Request:
    """A request over one of our own connections, to which nobody has to listen."""
    scope = {"type": "http"}
    with_hangup(scope, hangup)
    return Request(scope)


async def test_work_for_nobody_is_dropped() -> None:
    """Soon after the client has gone."""
    async with asyncio.timeout(5):
        with pytest.raises(ClientDisconnect):
            await _unless_gone(work(60), asking(lambda: leave(0)))
    await asyncio.sleep(0)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_work_for_a_lost_connection_is_dropped() -> None:
    """At once, and what follows in the same task goes on."""
    hangup = Hangup()
    async with asyncio.timeout(5):
        asyncio.get_running_loop().call_soon(hangup.tell)
        with pytest.raises(ClientDisconnect):
            await _unless_gone(work(60), asking_over(hangup))
    await asyncio.sleep(0)


async def test_work_for_a_connection_that_was_lost_does_not_begin() -> None:
    """It had hung up while its body was read."""
    hangup = Hangup()
    hangup.tell()
    with pytest.raises(ClientDisconnect):
        await _unless_gone(work(60), asking_over(hangup))
    await asyncio.sleep(0)


async def test_a_connection_may_be_lost_after_its_answer() -> None:
    """It cancels nothing else then."""
    hangup = Hangup()
    assert await _unless_gone(work(0), asking_over(hangup)) == "done"
    hangup.tell()
    await asyncio.sleep(0)


async def test_short_work_is_not_watched() -> None:
    """Listening would cost more than the work that it could spare."""
    calls: list[None] = []

    async def receive() -> Message:
        calls.append(None)
        return await leave(60)

    assert await _unless_gone(work(0), asking(receive)) == "done"
    assert not calls


@pytest.mark.parametrize("number", range(20))
async def test_a_client_that_leaves_at_the_end_cancels_nothing_else(number: int) -> None:
    """Whichever comes first, what follows in the same task goes on."""
    takes_s = 0.01 + (number - 10) * 1e-4
    request = asking(lambda: leave(0.01))
    try:
        assert await _unless_gone(work(_LISTEN_AFTER_S + takes_s), request) == "done"
    except ClientDisconnect:
        assert number >= 0
    for _ in range(3):
        await asyncio.sleep(0.001)


async def test_a_cancelled_request_stays_cancelled() -> None:
    """As when the server stops waiting for it."""
    task = asyncio.create_task(_unless_gone(work(60), asking(lambda: leave(60))))
    await asyncio.sleep(_LISTEN_AFTER_S * 1.5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
