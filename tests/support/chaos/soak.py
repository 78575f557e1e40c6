"""Mixed traffic for an hour, models loading and unloading all the while: does anything grow?"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from satsuma import Ai
from satsuma.bench.random_model import ModelShape, find_tokenizer_json, write_random_model
from support.chaos.client import AwayError, Connection, CutError, ask_once, write_request
from support.chaos.jobs import Jobs
from support.chaos.load import Client, Target
from support.chaos.oracle import Fate, Oracle
from support.chaos.scene import STUCK_S, Scene, Stage
from support.chaos.server import ChaosServer, kept_alive
from support.chaos.trends import Series, anonymous_bytes, sampled
from support.chaos.ways import WAYS

_SHAPES = (ModelShape("small", 64, 2, 4, 128), ModelShape("smaller", 32, 2, 4, 64))
_NUM_CLIENTS = 4
_TURN_S = 2.0  # of a model; then another takes its place in memory
_PAUSE_S = 0.02
_GROWTH_BYTES = 24e6
GROWTH_SHARE = 0.5  # of the median latency, and
GROWTH_S = 0.005  # at least
_SETTLED_S = 120.0  # a run that is shorter has no trend
_PATHS = ("/metrics", "/satsuma/stats", "/openapi.json", "/v1/models", "/")


def write_models(models: Path) -> list[str]:
    """Write small models of random weights, and give their ids."""
    for seed, shape in enumerate(_SHAPES):
        write_random_model(models / shape.name, shape, find_tokenizer_json(), seed)
    return [f"@local/{shape.name}" for shape in _SHAPES]


def learn_models(models: Path, seed: int) -> list[Oracle]:
    """Learn the vectors of the models in a folder."""
    ids = write_models(models)
    with Ai(models_dir=models) as ai:
        return [Oracle.learn(ai, one, seed) for one in ids]


def soak_scene(oracles: Sequence[Oracle], models: Path) -> Scene:
    """Make the scene.

    Args:
        oracles: of the models in turn, beside the stage's own.
        models: where they are.
    """
    return Scene(
        "soak",
        f"{_NUM_CLIENTS} clients by {len(WAYS)} routes, {len(oracles) + 1} models where there is "
        "room for one, jobs, vanishing clients, scrapes and pages",
        "no wrong answer, and neither memory nor latency grows",
        partial(_play, oracles=oracles, models=models),
    )


async def _play(stage: Stage, oracles: Sequence[Oracle], models: Path) -> None:
    flags = ("--models-dir", str(models), "--memory-budget-bytes", "1", "--deadline-s", "30")
    with kept_alive(stage.server(flags=flags)) as server:
        await server.until_ready()
        traffic = _Traffic(stage, server, (stage.oracle, *oracles))
        async with sampled(lambda: anonymous_bytes(server.process_id)) as memory:
            await traffic.run(stage.timing.load_s)
        stage.notes["models loaded"] = _count(server, "INFO", "loaded")
        stage.notes["turns"] = traffic.num_turns
        _judge(stage, memory, traffic.latency)
        await stage.expect_calm(server)


def _count(server: ChaosServer, *words: str) -> int:
    lines = server.log.read_text(encoding="utf-8", errors="replace").splitlines()
    return sum(all(word in line for word in words) for line in lines)


class _Traffic:
    """Who asks what, and when."""

    def __init__(self, stage: Stage, server: ChaosServer, oracles: Sequence[Oracle]) -> None:
        self._stage = stage
        self._server = server
        self._oracles = oracles
        self._jobs = Jobs(stage)
        self._end_s = 0.0
        self.num_turns = 0
        self.latency = Series()

    async def run(self, duration_s: float) -> None:
        """Keep the server busy for so long."""
        self._end_s = time.monotonic() + duration_s
        async with asyncio.TaskGroup() as group:
            for number in range(_NUM_CLIENTS):
                group.create_task(self._ask(random.Random(number)))  # noqa: S311 - no secret
            group.create_task(self._take_turns())
            group.create_task(self._look_around())
        await self._jobs.collect(self._server)

    @property
    def _is_over(self) -> bool:
        return time.monotonic() >= self._end_s

    async def _take_turns(self) -> None:
        while not self._is_over:
            await asyncio.sleep(_TURN_S)
            self.num_turns += 1

    async def _ask(self, dice: random.Random) -> None:
        """Ask the model whose turn it is, again and again, by each of the routes."""
        clients = {
            oracle.model: Client(
                Target(self._server.port, oracle, STUCK_S), self._stage.tally, dice
            )
            for oracle in self._oracles
        }
        while not self._is_over:
            oracle = self._oracles[self.num_turns % len(self._oracles)]
            outcome = await clients[oracle.model].ask(oracle.draw(dice, dice.choice(WAYS)))
            if outcome.fate is Fate.RIGHT:
                self.latency.note(outcome.took_s)
            await asyncio.sleep(_PAUSE_S)
        for client in clients.values():
            client.close()

    async def _look_around(self) -> None:
        """Do what goes on beside: jobs, scrapes, pages, clients that vanish."""
        dice = self._stage.dice
        while not self._is_over:
            await self._jobs.send(self._server, 1)
            with suppress(AwayError, CutError, TimeoutError):
                reply = await ask_once(self._server.port, dice.choice(_PATHS))
                self._stage.expect(reply.status == 200, f"a page was answered {reply.status}")
            connection = await Connection.open(self._server.port)
            question = self._stage.oracle.draw(dice)
            connection.writer.write(write_request(self._stage.oracle.path, question.body))
            await asyncio.sleep(dice.random() * 0.1)
            connection.drop()
            await asyncio.sleep(1.0)


def _judge(stage: Stage, memory: Series, latency: Series) -> None:
    growth, slower = memory.growth(), latency.trend()
    stage.notes["memory, MB"] = round(memory.median / 1e6)
    stage.notes["memory's growth, MB"] = round(growth / 1e6, 1)
    stage.notes["median latency, ms"] = round(1e3 * latency.median, 1)
    stage.notes["latency's growth, ms"] = round(1e3 * slower.growth, 1)
    stage.notes["its standard error, ms"] = round(1e3 * slower.error, 1)
    if stage.timing.load_s < _SETTLED_S:
        return  # a process grows at first, and so soon there is no more to see
    stage.expect(growth <= _GROWTH_BYTES, f"memory grew by {growth / 1e6:.0f} MB")
    has_slowed = latency.has_grown(floor=GROWTH_S, share=GROWTH_SHARE)
    stage.expect(not has_slowed, f"answers became {1e3 * slower.growth:.0f} ms slower")
