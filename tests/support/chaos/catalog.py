"""All scenes, and how they are played one after another."""

from __future__ import annotations

import asyncio
import os
import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from satsuma import Ai
from support.chaos.client_scenes import CLIENT_SCENES
from support.chaos.disk_scenes import DISK_SCENES
from support.chaos.engine_scenes import ENGINE_SCENES
from support.chaos.load_scene import LOAD_SCENES
from support.chaos.oracle import Oracle
from support.chaos.scene import Finding, Scene, Stage, Timing, play
from support.chaos.server import MODEL
from support.chaos.signal_scenes import SIGNAL_SCENES
from support.chaos.unread_scene import UNREAD_SCENES

SCENES: Final = (
    *LOAD_SCENES,
    *ENGINE_SCENES,
    *CLIENT_SCENES,
    *UNREAD_SCENES,
    *DISK_SCENES,
    *SIGNAL_SCENES,
)


@contextmanager
def theatre(seed: int) -> Iterator[tuple[Path, Oracle]]:
    """Give a home in which the weights are packed already, and every text's vector."""
    with tempfile.TemporaryDirectory(prefix="satsuma-chaos-") as name:
        home, before = Path(name), dict(os.environ)
        os.environ["XDG_CACHE_HOME"] = str(home / ".cache")
        try:
            with Ai() as ai:
                oracle = Oracle.learn(ai, MODEL, seed)
        finally:
            os.environ.clear()
            os.environ.update(before)
        yield home, oracle


def play_scene(scene: Scene, home: Path, oracle: Oracle, seed: int, timing: Timing) -> Finding:
    """Play one scene in a folder of its own."""
    folder = home / "scenes" / scene.name.replace(" ", "-")
    dice = random.Random(seed)  # noqa: S311 - no secret
    return asyncio.run(play(scene, Stage(home, folder, oracle, dice, timing)))
