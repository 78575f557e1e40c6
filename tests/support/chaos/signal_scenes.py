"""Ends and clocks: SIGTERM and SIGKILL under load, and a wall clock that jumps."""

from __future__ import annotations

import asyncio
import signal
import time

from support.chaos.jobs import Jobs
from support.chaos.load import background_clients
from support.chaos.oracle import Fate
from support.chaos.scene import Scene, Stage
from support.chaos.server import kept_alive

_NUM_CLIENTS = 8
_NUM_KILLS = 3
_JUMPS_EVERY_S = 2


async def play_sigterm(stage: Stage) -> None:
    """Stop a busy server, and start it again."""
    stage.allow(Fate.STOPPING, Fate.AWAY, Fate.CUT)
    server, jobs = stage.server(), Jobs(stage)
    with kept_alive(server):
        await server.until_ready()
        async with background_clients(stage.target(server), stage.tally, stage.dice, _NUM_CLIENTS):
            await asyncio.sleep(stage.timing.fault_s / 2)
            await jobs.send(server, 3)
            stopped_at_s = time.monotonic()
            server.send(signal.SIGTERM)
            stage.expect(await server.ended() == 0, "the exit code is not 0")
            stage.notes["stopped after s"] = round(time.monotonic() - stopped_at_s, 2)
            server.start()
            await server.until_ready()
        # What was sent before the signal is answered. A connection that the server closes as a
        # request comes in has accepted nothing, and that is what HTTP's clients try again.
        lost = [sent_s for sent_s in stage.tally.cuts_s if sent_s < stopped_at_s]
        stage.num_lost += len(lost)
        stage.expect(not lost, f"{len(lost)} requests were accepted and cut")
        await jobs.collect(server)
        await stage.expect_calm(server)


async def play_sigkill(stage: Stage) -> None:
    """Kill a busy server again and again."""
    stage.allow(Fate.CUT, Fate.AWAY)
    server, jobs = stage.server(), Jobs(stage)
    back_s: list[float] = []
    with kept_alive(server):
        await server.until_ready()
        async with background_clients(stage.target(server), stage.tally, stage.dice, _NUM_CLIENTS):
            for _ in range(_NUM_KILLS):
                await jobs.send(server, 2)
                await asyncio.sleep(stage.timing.fault_s / _NUM_KILLS * stage.dice.random())
                server.kill()
                server.start()
                back_s.append(round(await server.until_ready(), 1))
        stage.require(Fate.CUT)
        stage.notes["ready again after s"] = back_s
        await jobs.collect(server)
        await stage.expect_calm(server)


async def play_clock(stage: Stage) -> None:
    """Let the wall clock jump by an hour, to and fro."""
    server, jobs = stage.server(faults=f"clock={_JUMPS_EVERY_S}"), Jobs(stage)
    with kept_alive(server):
        await server.until_ready()
        async with background_clients(stage.target(server), stage.tally, stage.dice, _NUM_CLIENTS):
            for _ in range(4):
                await jobs.send(server, 1)
                await asyncio.sleep(stage.timing.fault_s / 4)
            stage.expect((await server.readiness())[0], "not ready")
        await jobs.collect(server)
        await stage.expect_calm(server)


SIGNAL_SCENES = (
    Scene(
        "SIGTERM under load",
        "a busy server is asked to stop, and started again",
        "what was sent before is answered, what comes meanwhile gets 503; exit code 0; jobs go on",
        play_sigterm,
    ),
    Scene(
        "SIGKILL under load",
        f"a busy server is killed {_NUM_KILLS} times and started again",
        "clients see a cut connection and no wrong answer; it serves again; no job is lost",
        play_sigkill,
    ),
    Scene(
        "clock jumps",
        f"the wall clock, as time.time and time_ns tell it, jumps by up to an hour every "
        f"{_JUMPS_EVERY_S} s",
        "nobody notices: waits and deadlines count by the monotonic clock; jobs are done",
        play_clock,
    ),
)
