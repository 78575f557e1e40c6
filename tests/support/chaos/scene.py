"""A scene: what is done to a server, what is expected of it, and what came of it."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from support.chaos.load import Client, Target
from support.chaos.oracle import Fate, Oracle, Tally
from support.chaos.server import ChaosServer

DEADLINE_S: Final = 20.0  # of the servers here
STUCK_S: Final = 60.0  # far beyond it: whoever has heard nothing by then waits for ever
_SETTLES_WITHIN_S: Final = 20.0


@dataclass(frozen=True, slots=True)
class Timing:
    """How long scenes take.

    Attributes:
        fault_s: seconds under one fault.
        load_s: seconds of overload.
        num_connections: of the overload.
        load_deadline_s: of the server that is overloaded.
        late_share: part of the accepted requests that may miss it; other programs may take the
            cores for a while, which nobody could know beforehand.
    """

    fault_s: float = 20.0
    load_s: float = 600.0
    num_connections: int = 200
    load_deadline_s: float = 10.0
    late_share: float = 0.0


@dataclass
class Stage:
    """Where a scene is played.

    Attributes:
        home: of all servers whose packed weights nobody harms.
        folder: the scene's own.
        tally: every request of the scene.
        num_lost: jobs and accepted requests that were never answered, beside those of the tally.
        num_wrong: jobs with other vectors.
        breaches: what was not as it was expected.
        notes: figures that are worth showing.
    """

    home: Path
    folder: Path
    oracle: Oracle
    dice: random.Random
    timing: Timing
    tally: Tally = field(default_factory=Tally)
    num_lost: int = 0
    num_wrong: int = 0
    breaches: list[str] = field(default_factory=list)
    notes: dict[str, Any] = field(default_factory=dict)
    allowed: set[Fate] = field(default_factory=lambda: {Fate.RIGHT})

    def server(
        self, *, faults: str = "none", flags: Sequence[str] = (), home: Path | None = None
    ) -> ChaosServer:
        """Describe a server; it does not run yet."""
        usual = ("--threads", "2", "--deadline-s", str(DEADLINE_S), "--queue-lease-s", "3")
        return ChaosServer(home or self.home, self.folder, faults, (*usual, *flags))

    def target(self, server: ChaosServer) -> Target:
        """Say what is asked of a server."""
        return Target(server.port, self.oracle, STUCK_S)

    def allow(self, *fates: Fate) -> None:
        """Take some fates for what has to be expected here."""
        self.allowed.update(fates)

    def expect(self, is_met: bool, otherwise: str) -> None:
        """Note a breach unless something is so."""
        if not is_met:
            self.breaches.append(otherwise)

    def require(self, fate: Fate) -> None:
        """Note a breach unless this happened: else the fault was not met at all."""
        self.expect(self.tally.counts[fate] > 0, f"no request was {fate}")

    async def expect_settled(self, server: ChaosServer) -> None:
        """Expect that the server is soon ready again, and that nothing waits in it."""
        took_s = await self.until(lambda: _is_settled(server))
        self.notes["settled after s"] = round(took_s, 1)
        is_settled = took_s <= _SETTLES_WITHIN_S
        self.expect(is_settled, f"not settled: {await server.readiness()}")

    async def expect_calm(self, server: ChaosServer) -> None:
        """Expect that it has settled, and that it answers rightly and nothing else."""
        await self.expect_settled(server)
        client = Client(self.target(server), self.tally, self.dice)
        for _ in range(5):
            outcome = await client.ask()
            self.expect(outcome.fate is Fate.RIGHT, f"after the fault: {outcome}")
        client.close()

    async def until(
        self, is_so: Callable[[], Awaitable[bool]], within_s: float = _SETTLES_WITHIN_S
    ) -> float:
        """Wait until something is so, within limits; gives the seconds that it took."""
        start_s = time.monotonic()
        while not await is_so():
            if time.monotonic() - start_s > within_s:
                return within_s + 1
            await asyncio.sleep(0.05)
        return time.monotonic() - start_s


async def _is_settled(server: ChaosServer) -> bool:
    return (await server.readiness())[0] and await server.waiting_tokens() == 0


@dataclass(frozen=True, slots=True)
class Scene:
    """One fault, or the overload.

    Attributes:
        does: what is done.
        expects: what is promised.
    """

    name: str
    does: str
    expects: str
    play: Callable[[Stage], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of a scene.

    Attributes:
        lost: requests that were accepted, and whose connection ended without an answer.
        wrong: answers that were another's, or documented nowhere.
        stuck: requests that heard nothing for ever.
    """

    scene: Scene
    counts: dict[str, int]
    lost: int
    wrong: int
    stuck: int
    breaches: tuple[str, ...]
    notes: dict[str, Any]
    took_s: float

    @property
    def is_good(self) -> bool:
        """Whether all was as promised."""
        return not (self.lost or self.wrong or self.stuck or self.breaches)

    def to_json(self) -> dict[str, Any]:
        """Give everything as JSON has it."""
        return {
            "name": self.scene.name,
            "does": self.scene.does,
            "expects": self.scene.expects,
            "counts": self.counts,
            "lost": self.lost,
            "wrong": self.wrong,
            "stuck": self.stuck,
            "breaches": list(self.breaches),
            "notes": self.notes,
            "took_s": round(self.took_s, 1),
        }


async def play(scene: Scene, stage: Stage) -> Finding:
    """Play one scene, and judge it."""
    start_s = time.monotonic()
    try:
        await scene.play(stage)
    except Exception as error:  # noqa: BLE001 - the other scenes are played all the same
        stage.breaches.append(f"the scene broke off: {error!r}")
    counts = stage.tally.counts
    for fate in counts.keys() - stage.allowed - {Fate.CUT, Fate.WRONG, Fate.STUCK}:
        stage.expect(False, f"{counts[fate]} {fate}, such as {stage.tally.shown[fate][:1]}")
    for fate in (Fate.CUT, Fate.WRONG, Fate.STUCK):
        if counts[fate] and fate not in stage.allowed:
            stage.breaches.append(f"{fate}: {stage.tally.shown[fate]}")
    return Finding(
        scene=scene,
        counts={fate.value: counts[fate] for fate in Fate if counts[fate]},
        lost=stage.num_lost + (0 if Fate.CUT in stage.allowed else counts[Fate.CUT]),
        wrong=stage.num_wrong + counts[Fate.WRONG],
        stuck=counts[Fate.STUCK],
        breaches=tuple(stage.breaches),
        notes=stage.notes,
        took_s=time.monotonic() - start_s,
    )
