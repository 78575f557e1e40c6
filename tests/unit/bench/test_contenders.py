from pathlib import Path

import numpy as np
import pytest

from satsuma.ai import Ai
from satsuma.bench.contenders import (
    ai_contender,
    engine_contender,
    ensure_model,
    load_random,
    model_id,
)
from satsuma.bench.random_model import ModelShape
from satsuma.bench.workload import WORKLOADS, text_flops

TINY = ModelShape("tiny", 16, 1, 2, 32)
WORKLOAD = WORKLOADS["3x11"]


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write one tiny model for all tests of this file."""
    folder: Path = tmp_path_factory.mktemp("models")
    ensure_model(folder, TINY)
    return folder


def test_model_id_is_the_stores_name_for_the_folder() -> None:
    """A folder under `--models-dir` is `@local/` and its name."""
    assert model_id(TINY) == "@local/tiny-random"


def test_a_model_is_written_once(models_dir: Path) -> None:
    """The second run finds the first one's weights, and no half-written folder stays."""
    weights = models_dir / "tiny-random" / "model.safetensors"
    written_ns = weights.stat().st_mtime_ns
    ensure_model(models_dir, TINY)
    assert weights.stat().st_mtime_ns == written_ns
    assert [path.name for path in models_dir.iterdir()] == ["tiny-random"]


def test_engine_contender_runs_all_texts_at_once(models_dir: Path) -> None:
    """The bare encoder gives one hidden state a token."""
    loaded = load_random(models_dir, TINY, threads=1)
    contender = engine_contender(loaded, TINY, WORKLOAD)
    hidden_states = contender.run(0)
    assert isinstance(hidden_states, np.ndarray)
    assert hidden_states.shape == (33, TINY.hidden_size)
    assert (contender.path, contender.workload, contender.num_tokens) == ("engine", "3x11", 33)
    assert contender.flops == 3 * text_flops(TINY, 11)
    loaded.encoder.close()


def test_ai_contender_takes_the_whole_path(models_dir: Path) -> None:
    """The answer has one vector a text and counts the workload's very tokens."""
    with Ai(models_dir=models_dir, threads=1) as ai:
        answer = ai_contender(ai, TINY, WORKLOAD).run(9)
    assert isinstance(answer, dict)
    assert answer["shape"] == [3, TINY.hidden_size]
    assert answer["usage"]["prompt_tokens"] == WORKLOAD.num_tokens
