"""Faults of clients: slow, vanishing, halfway through, or no clients at all; and descriptors."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from support.chaos.client import AwayError, Connection, CutError, ask_once, write_request
from support.chaos.jobs import Jobs
from support.chaos.load import background_clients
from support.chaos.oracle import Fate, Outcome
from support.chaos.scene import STUCK_S, Scene, Stage
from support.chaos.server import ChaosServer, kept_alive

_NUM_BAD = 30
_NUM_GOOD = 4
_MAX_FILES = 110  # an idle server has some forty
_NUM_IDLE = 150
_SPARE_FILES = 4  # a database's own
_Act = Callable[[Stage, ChaosServer, random.Random], Awaitable[None]]


async def play_bad_clients(stage: Stage) -> None:
    """Let bad clients in among good ones."""
    with kept_alive(stage.server()) as server:
        await server.until_ready()
        await stage.expect_calm(server)
        num_files = server.num_descriptors()
        end_s = time.monotonic() + stage.timing.fault_s
        target = stage.target(server)
        stage.allow(Fate.REFUSED)
        async with background_clients(target, stage.tally, stage.dice, _NUM_GOOD):
            bad = (_misbehave(stage, server, end_s, seed) for seed in range(_NUM_BAD))
            stage.notes["bad requests"] = sum(await asyncio.gather(*bad))
        stage.require(Fate.RIGHT)
        await stage.expect_calm(server)
        took_s = await stage.until(lambda: _has_closed(server, num_files + _SPARE_FILES))
        stage.expect(took_s < STUCK_S / 3, f"{server.num_descriptors()} files, {num_files} before")


async def _has_closed(server: ChaosServer, most: int) -> bool:
    return server.num_descriptors() <= most


async def _misbehave(stage: Stage, server: ChaosServer, end_s: float, seed: int) -> int:
    """Do one bad thing after another; gives how many."""
    dice, count = random.Random(seed), 0  # noqa: S311 - no secret
    while time.monotonic() < end_s:
        try:
            await dice.choice(_ACTS)(stage, server, dice)
        except (OSError, AwayError, CutError, asyncio.IncompleteReadError) as error:
            stage.expect(False, f"a slow client was cut: {error!r}")
        count += 1
    return count


async def _send_part(_: Stage, server: ChaosServer, dice: random.Random) -> None:
    """Send the beginning of a request, or of anything, and vanish."""
    request = write_request("/client/v4/accounts/me/ai/run/x", b'{"text": "never to be read"}')
    junk = dice.choice([request, b"\x16\x03\x01 junk\r\n\r\n", b"\x00" * 100, b"GET"])
    connection = await Connection.open(server.port)
    connection.writer.write(junk[: dice.randrange(len(junk))])
    await asyncio.sleep(dice.random() * 0.3)
    connection.drop()


async def _vanish(stage: Stage, server: ChaosServer, dice: random.Random) -> None:
    """Ask, and be gone before the answer."""
    question = stage.oracle.draw(dice)
    connection = await Connection.open(server.port)
    connection.writer.write(write_request(stage.oracle.path, question.body))
    await asyncio.sleep(dice.random() * 0.1)
    connection.drop()


async def _write_slowly(stage: Stage, server: ChaosServer, dice: random.Random) -> None:
    """Send a good request in crumbs; it is answered as any other."""
    question = stage.oracle.draw(dice)
    request = write_request(stage.oracle.path, question.body)
    connection = await Connection.open(server.port)
    step = max(1, len(request) // 20)
    for start in range(0, len(request), step):
        connection.writer.write(request[start : start + step])
        await asyncio.sleep(0.02)
    sent_s = time.monotonic()
    reply = await connection.ask(b"", STUCK_S)
    fate = stage.oracle.judge(question, reply)
    stage.tally.note(Outcome(fate, sent_s, time.monotonic() - sent_s, str(reply.status)))
    connection.drop()


async def _read_slowly(stage: Stage, server: ChaosServer, dice: random.Random) -> None:
    """Read in crumbs what the systems' buffers hold anyway, and leave before its end or soon after.

    What does not fit into them is played in `unread_scene.py`.
    """
    question = stage.oracle.draw(dice)
    connection = await Connection.open(server.port)
    connection.writer.write(write_request(stage.oracle.path, question.body))
    with suppress(TimeoutError):
        async with asyncio.timeout(1.0):
            for _ in range(10):
                await connection.reader.read(100)
                await asyncio.sleep(0.02)
    connection.drop()


_ACTS: tuple[_Act, ...] = (_send_part, _vanish, _write_slowly, _read_slowly)


async def play_no_files(stage: Stage) -> None:
    """Use up the server's descriptors."""
    with kept_alive(stage.server(faults=f"files={_MAX_FILES}")) as server:
        await server.until_ready()
        await stage.expect_calm(server)
        jobs = Jobs(stage)
        await jobs.send(server, 2)
        async with background_clients(stage.target(server), stage.tally, stage.dice, _NUM_GOOD):
            await asyncio.sleep(0.5)  # they are connected
            idle = [await _connect(server) for _ in range(_NUM_IDLE)]
            stage.notes["connections at once"] = sum(one is not None for one in idle)
            stage.notes["newcomers turned away"] = await _knock(server)
            await asyncio.sleep(min(stage.timing.fault_s, 15.0))
            for one in filter(None, idle):
                one.drop()
        await stage.expect_calm(server)
        await jobs.send(server, 2)
        await jobs.collect(server)


async def _connect(server: ChaosServer) -> Connection | None:
    try:
        return await Connection.open(server.port)
    except AwayError:
        return None


async def _knock(server: ChaosServer) -> int:
    """Count newcomers who get no answer while nothing is left for them."""
    num_away = 0
    for _ in range(3):
        try:
            await ask_once(server.port, "/health", within_s=1.0)
        except (AwayError, CutError, TimeoutError):
            num_away += 1
    return num_away


CLIENT_SCENES = (
    Scene(
        "bad clients",
        f"{_NUM_BAD} clients send half heads, half bodies and junk, vanish, write and read slowly",
        f"{_NUM_GOOD} good clients are answered, or told to come again where all of them ask for "
        "more than the machine does; no work and no descriptor is left behind",
        play_bad_clients,
    ),
    Scene(
        "no descriptors left",
        f"{_NUM_IDLE} idle connections, where {_MAX_FILES} files may be open",
        "who is connected is answered; newcomers are when there is room again; jobs are kept",
        play_no_files,
    ),
)
