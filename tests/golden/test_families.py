"""Each family beside transformers: the same weights, drawn from a seed, and the same tokens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.engines import EVERY_FAMILY
from support.families import CONFIGS, MODULES, random_items, write_family

from satsuma.engine.load import LoadedModel, load_model
from satsuma.engine.native.packing import PRECISIONS
from satsuma.engine.protocol import Microbatch, Width
from satsuma.settings import load_settings
from satsuma.store.manifest import ModelFiles
from satsuma.store.places import local_place
from satsuma.types import Engine, FloatArray, Precision

GOLDEN: dict[str, Any] = json.loads(Path(__file__).with_name("families.json").read_text("utf-8"))
TOLERANCE = 1e-5  # of hidden states of about unit size


def load(
    folder: Path, precision: Precision = Precision.FP32, engine: Engine = Engine.NATIVE
) -> LoadedModel:
    """Load a family's folder, as a local model."""
    place = local_place(f"@local/{folder.name}", folder)
    assert place is not None
    files = ModelFiles(place.manifest, folder, folder / ".graphs", "1" * 64)
    flags = {"threads": 3, "device": "cpu", "engine": engine, "precision": precision}
    return load_model(files, load_settings(flags, environ={}))


@pytest.fixture(scope="module", params=[*CONFIGS])
def folder(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    all_minilm_files: ModelFiles,
) -> Path:
    """A family's bare encoder, with random weights."""
    place = tmp_path_factory.mktemp("families") / request.param
    tokenizer_json = all_minilm_files.folder / "tokenizer.json"
    return write_family(place, request.param, tokenizer_json, has_modules=False)


def encode(model: LoadedModel, width: Width = Width.ALL_CORES) -> list[FloatArray]:
    """Encode all items in one microbatch; each item's hidden states."""
    microbatch = Microbatch.pack(random_items())
    states = model.encoder.encode(microbatch, width)  # (T, H)
    return np.split(states, np.cumsum(microbatch.lengths)[:-1])


@pytest.mark.parametrize("engine", EVERY_FAMILY)
def test_hidden_states_are_those_of_transformers(folder: Path, engine: Engine) -> None:
    """In every coordinate of every recorded row, in fp32; all lengths in one microbatch."""
    encoded = encode(load(folder, engine=engine))
    for states, recorded in zip(encoded, GOLDEN[folder.name]["states"], strict=True):
        expected = np.array(recorded["values"], np.float32)
        scale = max(1.0, float(np.sqrt(np.mean(expected**2))))
        np.testing.assert_allclose(
            states[recorded["rows"]], expected, rtol=0, atol=TOLERANCE * scale
        )


def test_int8_points_the_same_way(folder: Path) -> None:
    """By the cosine of all recorded rows together."""
    states = encode(load(folder, Precision.INT8))
    recorded = GOLDEN[folder.name]["states"]
    rows = np.concatenate([s[r["rows"]].ravel() for s, r in zip(states, recorded, strict=True)])
    expected = np.concatenate([np.ravel(r["values"]) for r in recorded])
    cosine = rows @ expected / (np.linalg.norm(rows) * np.linalg.norm(expected))
    assert cosine > 0.999


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_text_gives_the_same_bits_alone(folder: Path, precision: Precision) -> None:
    """Not one bit depends on neighbours, or on how many cores there are."""
    model = load(folder, precision)
    alone = [
        model.encoder.encode(Microbatch.pack([item]), Width.ONE_CORE) for item in random_items()
    ]
    for width in Width:
        for mixed, single in zip(encode(model, width), alone, strict=True):
            np.testing.assert_array_equal(mixed, single)


def test_a_long_text_gives_the_same_bits_on_all_cores(folder: Path) -> None:
    """Where there are fewer heads than cores ask for, they share a head's queries."""
    model = load(folder)
    microbatch = Microbatch.pack(random_items((128,)))
    alone = model.encoder.encode(microbatch, Width.ONE_CORE)
    np.testing.assert_array_equal(model.encoder.encode(microbatch, Width.ALL_CORES), alone)


@pytest.mark.parametrize("engine", EVERY_FAMILY)
@pytest.mark.parametrize("name", [*MODULES])
def test_vectors_are_those_of_sentence_transformers(
    name: str, engine: Engine, tmp_path: Path, all_minilm_files: ModelFiles
) -> None:
    """Pooling, dense layers, normalisation, prompts and length come from the model's own files."""
    folder = write_family(tmp_path / name, name, all_minilm_files.folder / "tokenizer.json")
    model = load(folder, engine=engine)
    for recorded in GOLDEN[name]["vectors"]:
        text = model.prompts.get(recorded["prompt"], "") + recorded["text"]
        vector = model.embed_one(text, model.pooling)
        np.testing.assert_allclose(vector, recorded["vector"], rtol=0, atol=2e-6)
