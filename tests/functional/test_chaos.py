"""Each scene of `make chaos`, and the soak, for seconds: nothing lost, wrong or stuck."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.chaos.catalog import SCENES, play_scene, theatre
from support.chaos.oracle import Oracle
from support.chaos.scene import Scene, Timing
from support.chaos.soak import learn_models, soak_scene

from satsuma.store.manifest import ModelFiles

TIMING = Timing(fault_s=3.0, load_s=15.0, num_connections=200)
SOAK = Timing(load_s=20.0)


@pytest.fixture(scope="module")
def home_and_oracle(all_minilm_files: ModelFiles) -> Iterator[tuple[Path, Oracle]]:
    """A home whose packed weights serve all scenes, and what the vectors have to be."""
    assert all_minilm_files.weights.exists()  # else these tests are skipped
    with theatre(seed=1) as both:
        yield both


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name.replace(" ", "-"))
def test_promises_are_kept(
    scene: Scene, home_and_oracle: tuple[Path, Oracle], pytestconfig: pytest.Config
) -> None:
    """Every answer is checked by value; what is allowed besides, the scene says."""
    seed = pytestconfig.getoption("randomly_seed", 0)
    finding = play_scene(scene, *home_and_oracle, seed, TIMING)
    assert finding.is_good, finding.to_json()


def test_nothing_grows(home_and_oracle: tuple[Path, Oracle], pytestconfig: pytest.Config) -> None:
    """Mixed traffic, and models that take each other's place."""
    seed = pytestconfig.getoption("randomly_seed", 0)
    home, oracle = home_and_oracle
    models = home / "models"
    finding = play_scene(soak_scene(learn_models(models, seed), models), home, oracle, seed, SOAK)
    assert finding.is_good, finding.to_json()
    assert finding.notes["models loaded"] > 3
