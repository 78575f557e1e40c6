"""Faults of the engine: it fails, it dies, it hangs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson

from support.chaos.load import Client, background_clients, closed_loop
from support.chaos.oracle import Fate, Question
from support.chaos.scene import Scene, Stage
from support.chaos.server import ChaosServer, kept_alive
from support.chaotic_server import HANGING

_NUM_CLIENTS = 8
_HANG_S, _DEADLINE_S = 6, 1
_LOOKS_EVERY_S = 0.02


async def play_errors(stage: Stage) -> None:
    """Let microbatches fail at random."""
    async with _some_fail(stage, "errors=0.2") as (_, reasons):
        stage.require(Fate.FAILED)
        stage.expect(not reasons, f"readiness said {reasons}")


async def play_deaths(stage: Stage) -> None:
    """Let engine threads die at random."""
    async with _some_fail(stage, "deaths=0.1") as (server, reasons):
        num_deaths = server.log.read_text(encoding="utf-8").count("an engine thread died")
        stage.notes["deaths"] = num_deaths
        stage.expect(num_deaths > 0, "no engine thread died")
        stage.expect(
            reasons <= {"an engine thread died and is being restarted"},
            f"readiness said {reasons}",
        )


async def play_hang(stage: Stage) -> None:
    """Let one microbatch hang for four deadlines."""
    flags = ("--deadline-s", str(_DEADLINE_S))
    with kept_alive(stage.server(faults=f"hang={_HANG_S}", flags=flags)) as server:
        await server.until_ready()
        stage.allow(Fate.LATE, Fate.REFUSED)
        client = Client(stage.target(server), stage.tally, stage.dice)
        async with watched(server) as reasons, _busy(stage, server):
            hanging = await client.ask(Question((), orjson.dumps({"text": HANGING})))
            stage.expect(hanging.fate is Fate.LATE, f"the hanging text: {hanging}")
            stage.notes["hanging text answered after s"] = round(hanging.took_s, 2)
            stage.expect(hanging.took_s < _DEADLINE_S + 1.0, "later than its deadline")
            await asyncio.sleep(_HANG_S)
        client.close()
        stage.expect(
            any(reason.startswith("a microbatch has been running") for reason in reasons),
            f"readiness said {reasons}",
        )
        await stage.expect_calm(server)


@asynccontextmanager
async def _some_fail(stage: Stage, faults: str) -> AsyncIterator[tuple[ChaosServer, set[str]]]:
    """Load a server whose engine fails now and then; gives it, and why it was not ready."""
    with kept_alive(stage.server(faults=faults)) as server:
        await server.until_ready()
        stage.allow(Fate.FAILED)
        async with watched(server) as reasons:
            await _load(stage, server)
        stage.require(Fate.RIGHT)
        yield server, reasons
        await stage.expect_settled(server)


@asynccontextmanager
async def watched(server: ChaosServer) -> AsyncIterator[set[str]]:
    """Ask for readiness all the time of a block; gives why it was not ready, without numbers."""
    reasons: set[str] = set()

    async def look() -> None:
        while True:
            is_ready, reason = await server.readiness()
            if not is_ready:
                reasons.add(reason)
            await asyncio.sleep(_LOOKS_EVERY_S)

    task = asyncio.create_task(look())
    try:
        yield reasons
    finally:
        task.cancel()


@asynccontextmanager
async def _busy(stage: Stage, server: ChaosServer) -> AsyncIterator[None]:
    async with background_clients(stage.target(server), stage.tally, stage.dice, 4):
        yield


async def _load(stage: Stage, server: ChaosServer) -> None:
    await closed_loop(
        stage.target(server),
        stage.tally,
        stage.dice,
        num_clients=_NUM_CLIENTS,
        duration_s=stage.timing.fault_s,
    )


ENGINE_SCENES = (
    Scene(
        "engine errors",
        "a fifth of the microbatches fail in the engine",
        "each text is tried again alone; who fails hears 500 and nobody else; ready all the time",
        play_errors,
    ),
    Scene(
        "engine threads killed",
        "a tenth of the microbatches end the thread that runs them",
        "the texts run again on a new thread; a text that ends two threads gets 500",
        play_deaths,
    ),
    Scene(
        "a hung microbatch",
        f"one microbatch takes {_HANG_S} s, with a deadline of {_DEADLINE_S} s",
        "408 at the deadline; others go on; not ready after two deadlines, ready when it ends",
        play_hang,
    ),
)
