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
_NUM_BUSY = 4
_HANG_S, _DEADLINE_S = 6, 2
_BEFORE_OTHERS_S = 0.3
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
    """Let a text hang that has every core, and then one on each lane."""
    flags = ("--deadline-s", str(_DEADLINE_S))
    with kept_alive(stage.server(faults=f"hang={_HANG_S}", flags=flags)) as server:
        await server.until_ready()
        stage.allow(Fate.LATE, Fate.REFUSED)
        async with watched(server) as reasons:
            hanging = [asyncio.create_task(_hang(stage, server, num_words=200))]
            await asyncio.sleep(_BEFORE_OTHERS_S)
            async with _busy(stage, server):
                hanging += [
                    asyncio.create_task(_hang(stage, server, num_words)) for num_words in (200, 0)
                ]
                await asyncio.gather(*hanging)
                await asyncio.sleep(_HANG_S)
        num_riders = _NUM_BUSY * (len(hanging) - 1)  # the first had nobody beside it
        num_late = stage.tally.counts[Fate.LATE] - len(hanging)
        stage.expect(num_late <= num_riders, f"{num_late} were late who did not hang")
        stage.require(Fate.RIGHT)
        stage.expect(not reasons, f"readiness said {reasons}")
        await stage.expect_calm(server)


async def _hang(stage: Stage, server: ChaosServer, num_words: int) -> None:
    """Ask for a text that hangs, with so many words beside the one."""
    client = Client(stage.target(server), stage.tally, stage.dice)
    text = " ".join([HANGING, *["word"] * num_words])
    outcome = await client.ask(Question((), orjson.dumps({"text": text})))
    client.close()
    stage.expect(outcome.fate is Fate.LATE, f"the hanging text: {outcome}")
    stage.expect(outcome.took_s < _DEADLINE_S + 1.0, "later than its deadline")


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
    async with background_clients(stage.target(server), stage.tally, stage.dice, _NUM_BUSY):
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
        f"a text on every core, then one on each lane take {_HANG_S} s; deadline {_DEADLINE_S} s",
        "408 at their deadline, and for those of the same microbatch; others go on; always ready",
        play_hang,
    ),
)
