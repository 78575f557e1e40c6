"""Twice as much as the server can do, for as long as is wanted."""

from __future__ import annotations

import asyncio
import os
import time

from support.chaos.load import Client, closed_loop, open_loop
from support.chaos.oracle import Fate, Tally
from support.chaos.scene import Scene, Stage
from support.chaos.server import ChaosServer, kept_alive
from support.chaos.trends import Series, anonymous_bytes, others_s, sampled

_CAPACITY_SHARE = 0.1  # of the time, and at least
_CAPACITY_S = 3.0
_NUM_PARTS = 4
_NUM_CLIENTS = 16
_TIMES = 2.0
_OTHERS_SHARE = 0.1  # of the cores: what is promised of time holds as long as they are there
_DISTURBED_LATE_SHARE = 0.03
_SLACK_S = 1.0  # of the deadline: reading and writing, and a client on the same cores
_GROWTH_BYTES = 24e6
_RECOVERS_WITHIN_S = 10.0
_QUICK_S = 0.5  # what a lone request takes at most


async def play_overload(stage: Stage) -> None:
    """Measure the capacity, offer twice as much, and see the server recover."""
    flags = ("--deadline-s", str(stage.timing.load_deadline_s))
    with kept_alive(stage.server(flags=flags)) as server:
        await server.until_ready()
        stage.allow(Fate.REFUSED, Fate.LATE)
        rate_per_s = _TIMES * await _measure(stage, server)
        tally, others_before_s, start_s = Tally(), others_s(server.process_id), time.monotonic()
        async with sampled(lambda: anonymous_bytes(server.process_id)) as memory:
            waited_s = await _offer(stage, server, tally, rate_per_s, stage.timing.load_s)
        stage.tally.add(tally)
        others = (others_s(server.process_id) - others_before_s) / (time.monotonic() - start_s)
        stage.notes["cores that other programs used"] = round(others, 1)
        _note(stage, tally, rate_per_s, waited_s)
        _judge_times(stage, is_disturbed=others > _OTHERS_SHARE * (os.cpu_count() or 1))
        _judge_memory(stage, memory)
        await _recover(stage, server)


async def _offer(
    stage: Stage, server: ChaosServer, tally: Tally, rate_per_s: float, duration_s: float
) -> float:
    return await open_loop(
        stage.target(server),
        tally,
        stage.dice,
        rate_per_s=rate_per_s,
        duration_s=duration_s,
        num_connections=stage.timing.num_connections,
    )


async def _measure(stage: Stage, server: ChaosServer) -> float:
    """Find out how many such requests a second the server does, at its best.

    By the work that they are, first of busy clients, then, where there is time, of too many. Other
    programs may take the cores meanwhile, and the first part warms the server up: so the best part
    counts.
    """
    share_s = min(30.0, _CAPACITY_SHARE * stage.timing.load_s)
    best_per_s = 0.0
    for _ in range(_NUM_PARTS):
        tally, start_s = Tally(), time.monotonic()
        part_s = max(_CAPACITY_S, share_s) / _NUM_PARTS
        target = stage.target(server)
        await closed_loop(target, tally, stage.dice, num_clients=_NUM_CLIENTS, duration_s=part_s)
        best_per_s = max(best_per_s, _done_per_s(stage, tally, time.monotonic() - start_s))
    if share_s > _CAPACITY_S:
        tally, start_s = Tally(), time.monotonic()
        await _offer(stage, server, tally, _TIMES * best_per_s, share_s)
        best_per_s = max(best_per_s, _done_per_s(stage, tally, time.monotonic() - start_s))
    stage.tally.took_s.clear()
    return best_per_s


def _done_per_s(stage: Stage, tally: Tally, took_s: float) -> float:
    """Count a part's requests into the scene's, and say how many average ones it was a second."""
    stage.tally.add(tally)
    return tally.num_bytes[Fate.RIGHT] / stage.oracle.mean_bytes() / took_s


def _note(stage: Stage, tally: Tally, rate_per_s: float, waited_s: float) -> None:
    times = tally.num_bytes.total() / max(1, tally.num_bytes[Fate.RIGHT])
    stage.notes["capacity, requests/s"] = round(rate_per_s / _TIMES, 1)
    stage.notes["work offered, of what was done"] = f"{times:.1f} times"
    stage.notes["longest wait for a connection, s"] = round(waited_s, 2)


def _judge_times(stage: Stage, *, is_disturbed: bool) -> None:
    """Expect that all who were let in were in time, or nearly all where the cores were others'."""
    tally = stage.tally
    for share in (50, 99, 100):
        stage.notes[f"p{share} of the answered, s"] = round(tally.percentile_s(share), 2)
    stage.require(Fate.REFUSED)
    stage.expect(
        tally.percentile_s(100) <= stage.timing.load_deadline_s + _SLACK_S,
        "an answer came after the deadline",
    )
    late_share = max(stage.timing.late_share, _DISTURBED_LATE_SHARE if is_disturbed else 0.0)
    num_late = tally.counts[Fate.LATE]
    most = late_share * (num_late + tally.counts[Fate.RIGHT])
    stage.expect(num_late <= most, f"{num_late} requests were accepted and not in time")


def _judge_memory(stage: Stage, memory: Series) -> None:
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
