"""Twice as much as the server can do, for as long as is wanted."""

from __future__ import annotations

import asyncio
import time

from support.chaos.load import Client, closed_loop, open_loop
from support.chaos.oracle import Fate, Tally
from support.chaos.scene import Scene, Stage
from support.chaos.server import ChaosServer, kept_alive
from support.chaos.trends import Series, anonymous_bytes, sampled

_CAPACITY_SHARE = 0.1  # of the time, and at least
_CAPACITY_S = 4.0
_NUM_CLIENTS = 16
_TIMES = 2.0
_SLACK_S = 1.0  # of the deadline: reading and writing, and a client on the same cores
_GROWTH_BYTES = 24e6
_RECOVERS_WITHIN_S = 10.0
_QUICK_S = 0.5  # what a lone request takes at most


async def play_overload(stage: Stage) -> None:
    """Measure the capacity, offer twice as much, and see the server recover."""
    flags = ("--deadline-s", str(stage.timing.load_deadline_s))
    with kept_alive(stage.server(flags=flags)) as server:
        await server.until_ready()
        capacity_per_s = await _measure(stage, server)
        stage.allow(Fate.REFUSED, Fate.LATE)
        async with sampled(lambda: anonymous_bytes(server.process_id)) as memory:
            waited_s = await open_loop(
                stage.target(server),
                stage.tally,
                stage.dice,
                rate_per_s=_TIMES * capacity_per_s,
                duration_s=stage.timing.load_s,
                num_connections=stage.timing.num_connections,
            )
        stage.notes["capacity, requests/s"] = round(capacity_per_s, 1)
        stage.notes["longest wait for a connection, s"] = round(waited_s, 2)
        _judge(stage, memory)
        await _recover(stage, server)


async def _measure(stage: Stage, server: ChaosServer) -> float:
    """Find out how many such requests a second the server answers to busy clients."""
    duration_s = max(_CAPACITY_S, min(30.0, _CAPACITY_SHARE * stage.timing.load_s))
    for seconds in (_CAPACITY_S / 4, duration_s):  # the first part warms it up
        tally = Tally()
        await closed_loop(
            stage.target(server), tally, stage.dice, num_clients=_NUM_CLIENTS, duration_s=seconds
        )
        num_right = tally.counts[Fate.RIGHT]
        stage.tally.add(tally)
    stage.tally.took_s.clear()
    return num_right / duration_s


def _judge(stage: Stage, memory: Series) -> None:
    tally = stage.tally
    for share in (50, 99, 100):
        stage.notes[f"p{share} of the answered, s"] = round(tally.percentile_s(share), 2)
    stage.require(Fate.REFUSED)
    stage.expect(
        tally.percentile_s(100) <= stage.timing.load_deadline_s + _SLACK_S,
        "an answer came after the deadline",
    )
    num_late = tally.counts[Fate.LATE]
    most = stage.timing.late_share * (num_late + tally.counts[Fate.RIGHT])
    stage.expect(num_late <= most, f"{num_late} requests were accepted and not in time")
    growth = memory.growth()
    stage.notes["memory, MB"] = round(memory.median / 1e6)
    stage.notes["memory's growth, MB"] = round(growth / 1e6, 1)
    stage.expect(growth <= _GROWTH_BYTES, f"memory grew by {growth / 1e6:.0f} MB")


async def _recover(stage: Stage, server: ChaosServer) -> None:
    """Expect that a lone request is soon as quick as ever."""
    client, start_s = Client(stage.target(server), stage.tally, stage.dice), time.monotonic()
    while True:
        outcome = await client.ask()
        took_s = time.monotonic() - start_s
        is_well = outcome.fate is Fate.RIGHT and outcome.took_s < _QUICK_S
        if is_well or took_s > _RECOVERS_WITHIN_S:
            break
        await asyncio.sleep(0.05)
    client.close()
    stage.notes["recovered after s"] = round(took_s, 2)
    stage.expect(is_well, f"not recovered after {took_s:.1f} s: {outcome}")
    await stage.expect_calm(server)


LOAD_SCENES = (
    Scene(
        "overload",
        "an open loop of twice the measured capacity",
        "no 5xx; every refusal is a 429 that says when to come again; what is accepted is in time; "
        "memory is flat; recovered within seconds",
        play_overload,
    ),
)
