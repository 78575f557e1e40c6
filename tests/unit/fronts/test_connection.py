"""Calls from one process to another: answers, errors, cancelling, and a lost end."""

from __future__ import annotations

import asyncio
import gc
import logging

import pytest
from unit.fronts.conftest import Join

from satsuma.errors import OverloadedError, ShuttingDownError
from satsuma.fronts import connection


async def echo(*arguments: object) -> object:
    """Answer with what was asked."""
    await asyncio.sleep(0)
    return arguments


async def test_calls_are_answered(join: Join) -> None:
    """Many at once, each with its own answer, large ones too."""
    caller, _ = await join({"echo": echo})
    texts = [f"text {n} " * (n * 1000) for n in range(40)]
    answers = await asyncio.gather(*(caller.call("echo", n, text) for n, text in enumerate(texts)))
    assert answers == list(enumerate(texts))


async def test_an_error_arrives_as_it_was(join: Join) -> None:
    """With its class, its words and its attributes."""

    async def refuse() -> None:
        raise OverloadedError("The waiting room is full.", retry_after_s=2.5)

    caller, _ = await join({"refuse": refuse})
    with pytest.raises(OverloadedError, match="room is full") as caught:
        await caller.call("refuse")
    assert caught.value.retry_after_s == 2.5


@pytest.mark.parametrize("result", [None, asyncio.Lock()], ids=["raised", "cannot be sent"])
async def test_a_defect_is_logged_where_it_is(
    join: Join, caplog: pytest.LogCaptureFixture, result: object
) -> None:
    """The caller hears that there is one, and the connection goes on."""

    async def fail() -> object:
        if result is None:
            raise KeyError("a defect")
        return (result, lambda: None)

    caller, _ = await join({"fail": fail, "echo": echo})
    with caplog.at_level(logging.ERROR), pytest.raises(RuntimeError, match="see its log"):
        await caller.call("fail")
    assert "a call of another process of this server failed" in caplog.text
    assert await caller.call("echo", 1) == (1,)


async def test_an_error_that_cannot_be_sent_is_a_defect(
    join: Join, caplog: pytest.LogCaptureFixture
) -> None:
    """The caller does not wait for ever."""

    async def refuse() -> None:
        error = OverloadedError("The waiting room is full.", retry_after_s=2.5)
        error.add_note("and a guard stands before it")
        vars(error)["guard"] = lambda: None
        raise error

    caller, _ = await join({"refuse": refuse})
    with caplog.at_level(logging.ERROR), pytest.raises(RuntimeError, match="see its log"):
        await caller.call("refuse")
    assert "cannot be told to another process" in caplog.text


async def test_a_call_that_nobody_takes_is_a_defect(
    join: Join, caplog: pytest.LogCaptureFixture
) -> None:
    """As after an upgrade under a running server; the connection's other calls go on."""
    caller, _ = await join({"echo": echo})
    with caplog.at_level(logging.ERROR), pytest.raises(RuntimeError, match="see its log"):
        await caller.call("sing")
    assert await caller.call("echo", 1) == (1,)


async def test_a_call_that_is_cancelled_at_once_never_begins(join: Join) -> None:
    """Both come in one piece; warnings are errors here, and one would be of an unawaited call."""
    caller, _ = await join({"echo": echo})
    call = asyncio.create_task(caller.call("echo", 1))
    await asyncio.sleep(0)  # it is written, and not yet sent
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    gc.collect()
    assert await caller.call("echo", 2) == (2,)


async def test_an_end_that_reads_nothing_gets_no_more(
    join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What nobody reads would be kept here, a body for each client that comes again."""
    monkeypatch.setattr(connection, "_MAX_UNSENT_BYTES", 1 << 20)
    caller, other = await join({"echo": echo})
    assert other._transport is not None
    other._transport.pause_reading()
    calls = [asyncio.create_task(caller.call("echo", bytes(1 << 20))) for _ in range(4)]
    await asyncio.sleep(0.01)
    with pytest.raises(OverloadedError, match="does not take"):
        await caller.call("echo")
    other._transport.resume_reading()
    assert len(await asyncio.gather(*calls)) == 4


async def test_cancelling_a_call_cancels_the_work(join: Join) -> None:
    """And no answer comes for it later."""
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    caller, _ = await join({"work": work, "echo": echo})
    call = asyncio.create_task(caller.call("work"))
    await begun.wait()
    call.cancel()
    await asyncio.wait_for(cancelled.wait(), 5)
    with pytest.raises(asyncio.CancelledError):
        await call
    assert await caller.call("echo", 1) == (1,)


async def test_work_that_is_dropped_is_refused(join: Join) -> None:
    """As by a scheduler that closes: nobody on the other end asked for it."""

    async def work() -> None:
        raise asyncio.CancelledError

    caller, _ = await join({"work": work})
    with pytest.raises(ShuttingDownError):
        await caller.call("work")


async def test_a_lost_end_fails_what_waits(join: Join) -> None:
    """At once; what it had asked for is dropped, and whoever comes later hears it too."""
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.set()

    caller, worker = await join({"work": work})
    call = asyncio.create_task(caller.call("work"))
    await begun.wait()
    worker.close()
    with pytest.raises(ShuttingDownError):
        await asyncio.wait_for(call, 5)
    await asyncio.wait_for(cancelled.wait(), 5)
    with pytest.raises(ShuttingDownError):
        await caller.call("work")
    caller.tell("work")


async def test_telling_waits_for_nothing(join: Join) -> None:
    """What is told arrives before what is called after it."""
    told: list[int] = []

    async def note(number: int) -> None:
        told.append(number)

    caller, _ = await join({"note": note, "echo": echo})
    for number in range(3):
        caller.tell("note", number)
    await caller.call("echo")
    assert told == [0, 1, 2]
