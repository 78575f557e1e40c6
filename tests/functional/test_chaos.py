"""The quick scenes of `make chaos`, and the soak, for seconds: nothing lost, wrong or stuck."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.chaos.catalog import SCENES, play_scene, theatre
from support.chaos.oracle import Oracle
from support.chaos.scene import Scene, Timing
from support.chaos.soak import learn_models, soak_scene

from satsuma.store.manifest import ModelFiles

# Whoever else uses this machine may take its cores for a moment: `make chaos` allows nobody late.
TIMING = Timing(fault_s=1.5, load_s=4.0, load_deadline_s=3.0, late_share=0.2)
SOAK = Timing(load_s=5.0)
SEED = 1

# The others take longer than the tests have; test_endings.py and test_jobs_kill.py end servers.
QUICK = {
    "overload",
    "engine errors",
    "engine threads killed",
    "bad clients",
    "weights damaged under a server",
}


@pytest.fixture(scope="module")
def home_and_oracle(all_minilm_files: ModelFiles) -> Iterator[tuple[Path, Oracle]]:
    """A home whose packed weights serve all scenes, and what the vectors have to be."""
    assert all_minilm_files.weights.exists()  # else these tests are skipped
    with theatre(SEED) as both:
        yield both


@pytest.mark.parametrize(
    "scene",
    [scene for scene in SCENES if scene.name in QUICK],
    ids=lambda scene: scene.name.replace(" ", "-"),
)
def test_promises_are_kept(scene: Scene, home_and_oracle: tuple[Path, Oracle]) -> None:
    """Every answer is checked by value; what is allowed besides, the scene says."""
    finding = play_scene(scene, *home_and_oracle, SEED, TIMING)
    assert finding.is_good, finding.to_json()


def test_models_take_each_others_place(home_and_oracle: tuple[Path, Oracle]) -> None:
    """Under mixed traffic every answer is right; what grows, `make soak` sees."""
    home, oracle = home_and_oracle
    models = home / "models"
    finding = play_scene(soak_scene(learn_models(models, SEED), models), home, oracle, SEED, SOAK)
    assert finding.is_good, finding.to_json()
    assert finding.notes["models loaded"] > 2
