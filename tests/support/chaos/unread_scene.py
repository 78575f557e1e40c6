"""Clients that ask for much and read none of it, beside one that reads slowly."""

from __future__ import annotations

import asyncio
import time

from support.chaos.client import Connection
from support.chaos.load import background_clients
from support.chaos.oracle import Fate, Outcome, Question
from support.chaos.scene import Scene, Stage
from support.chaos.server import ChaosServer, kept_alive
from support.chaos.trends import anonymous_bytes, sampled
from support.chaos.ways import OPENAI

_NUM_LAZY = 4
_NUM_GOOD = 2
_NUM_TEXTS = 2_048  # some 9 MB of numbers: more than the systems' buffers hold
_ANSWER_BYTES = 8e6  # at least
_MOST_S = 20.0  # the server's own limit
_SLACK_S = 3.0
_ANSWERED_WITHIN_S = 120.0


async def play_unread(stage: Stage) -> None:
    """Ask for much, and do not read; twice, for a process grows at first."""
    limit_s = min(_MOST_S, stage.timing.fault_s)
    flags = ("--deadline-s", str(_ANSWERED_WITHIN_S))
    with kept_alive(stage.server(faults=f"unread={limit_s}", flags=flags)) as server:
        await server.until_ready()
        clients = background_clients(stage.target(server), stage.tally, stage.dice, _NUM_GOOD)
        async with clients:
            before = await _hold(stage, server, limit_s)
            async with sampled(lambda: anonymous_bytes(server.process_id)) as memory:
                after, _ = await asyncio.gather(
                    _hold(stage, server, limit_s), _read_slowly(stage, server, 2 * limit_s)
                )
        await stage.expect_calm(server)
        stage.notes["memory held, MB"] = round((max(memory.values) - before) / 1e6)
        stage.notes["of it left, MB"] = round((after - before) / 1e6)
        most = _ANSWER_BYTES * _NUM_LAZY / 2
        stage.expect(after - before < most, f"{(after - before) / 1e6:.0f} MB were not freed")


async def _hold(stage: Stage, server: ChaosServer, limit_s: float) -> float:
    """Let some ask, and expect that they are cut off; gives the memory while they are there."""
    lazy = await asyncio.gather(*(_begin(stage, server) for _ in range(_NUM_LAZY)))
    await asyncio.sleep(1.5 * limit_s + _SLACK_S)
    num_bytes = anonymous_bytes(server.process_id)
    cut = [got < _ANSWER_BYTES for got in await asyncio.gather(*map(_count, lazy))]
    stage.expect(all(cut), f"{cut.count(False)} of {_NUM_LAZY} were held for ever")
    for one in lazy:
        one.drop()
    return num_bytes


async def _begin(stage: Stage, server: ChaosServer) -> Connection:
    """Ask, and read nothing but where the answer begins."""
    connection = await Connection.open(server.port)
    connection.writer.write(stage.oracle.request(_ask_for_much(stage)))
    async with asyncio.timeout(_ANSWERED_WITHIN_S):
        begins = await connection.reader.readexactly(12)
    stage.expect(begins.endswith(b" 200"), f"a long answer begins with {begins!r}")
    return connection


async def _count(connection: Connection) -> int:
    """Read what there still is."""
    num_bytes = 0
    try:
        async with asyncio.timeout(_MOST_S):
            while part := await connection.reader.read(1 << 20):
                num_bytes += len(part)
    except (OSError, TimeoutError):  # reset; or kept, after the whole answer
        pass
    return num_bytes


async def _read_slowly(stage: Stage, server: ChaosServer, slow_s: float) -> None:
    """Read a long answer, slowly for so long, and note what becomes of it."""
    question, start_s = _ask_for_much(stage), time.monotonic()
    connection = await Connection.open(server.port)
    connection.writer.write(stage.oracle.request(question))
    try:
        async with asyncio.timeout(_ANSWERED_WITHIN_S + slow_s):
            fate = stage.oracle.judge(question, await connection.read(slow_s))
    except (OSError, asyncio.IncompleteReadError):
        fate = Fate.CUT
    took_s = time.monotonic() - start_s
    stage.tally.note(Outcome(fate, start_s, took_s, "a long answer that was read slowly"))
    connection.drop()


def _ask_for_much(stage: Stage) -> Question:
    """Ask for the shortest text's vector, again and again."""
    texts = stage.oracle.texts
    number = min(range(len(texts)), key=lambda one: len(texts[one]))
    return stage.oracle.question([number] * _NUM_TEXTS, OPENAI)


UNREAD_SCENES = (
    Scene(
        "clients that do not read",
        f"twice, {_NUM_LAZY} clients ask for {_NUM_TEXTS:,} vectors each and read nothing; another "
        "reads slowly",
        f"who reads nothing is cut off, and memory comes back; the slow one and {_NUM_GOOD} others "
        "are answered",
        play_unread,
    ),
)
