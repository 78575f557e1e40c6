"""What every encoder promises: one suite over all engines (`engine/protocol.py`)."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.encoders import numpy_bert
from support.engines import ENGINES, load_local
from support.families import random_items

from satsuma.bench.random_model import ModelShape, write_random_model
from satsuma.engine.protocol import Encoder, Microbatch, Width
from satsuma.errors import EngineError
from satsuma.store.manifest import ModelFiles
from satsuma.types import Engine, FloatArray

# Heads of 12 and an intermediate size of 100 leave remainders in every kind of loop.
SHAPE = ModelShape("odd", 36, 2, 3, 100, max_positions=64)
LENGTHS = (1, 64, 7, 30, 2)
TOLERANCE = 5e-6  # from the textbook, of values of about unit size
# By how much neighbours may change a value: not at all, or as a product's order of sums does.
NEIGHBOUR_TOLERANCES = {Engine.NATIVE: 0.0, Engine.ONNX: 2e-6, Engine.TORCH: 5e-6}


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Engine:
    """Each engine that is here."""
    return Engine(request.param)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, all_minilm_files: ModelFiles) -> Path:
    """A random model of awkward sizes."""
    place = tmp_path_factory.mktemp("contract") / "odd"
    write_random_model(place, SHAPE, all_minilm_files.folder / "tokenizer.json")
    return place


@pytest.fixture(scope="module")
def encoder(engine: Engine, folder: Path) -> Encoder:
    """The model in an engine."""
    return load_local(folder, engine=engine).encoder


@pytest.mark.parametrize("width", list(Width))
def test_hidden_states_are_the_textbook_s(encoder: Encoder, folder: Path, width: Width) -> None:
    """Items of mixed lengths, packed, against one text at a time in float64."""
    items = random_items(LENGTHS)
    states = encoder.encode(Microbatch.pack(items), width)
    expected = np.concatenate([numpy_bert(folder, item) for item in items])
    assert states.dtype == np.float32
    np.testing.assert_allclose(states, expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("activation", ["relu", "gelu_new"])
def test_activations_are_the_checkpoint_s(
    engine: Engine, activation: str, tmp_path: Path, all_minilm_files: ModelFiles
) -> None:
    """Not all use the exact GELU; an engine that lacks one says so."""
    place = tmp_path / activation
    write_random_model(place, SHAPE, all_minilm_files.folder / "tokenizer.json")
    config = json.loads((place / "config.json").read_text())
    (place / "config.json").write_text(json.dumps(config | {"hidden_act": activation}))
    if (engine, activation) == (Engine.ONNX, "gelu_new"):
        with pytest.raises(EngineError, match="needs the native engine"):
            load_local(place, engine=engine)
        return
    microbatch = Microbatch.pack(random_items(LENGTHS))
    states = load_local(place, engine=engine).encoder.encode(microbatch, Width.ONE_LANE)
    expected = load_local(place, engine="native").encoder.encode(microbatch, Width.ONE_LANE)
    np.testing.assert_allclose(states, expected, rtol=0, atol=TOLERANCE)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.integers(1, 64), min_size=1, max_size=12), st.integers(0, 5))
def test_neighbours_change_next_to_nothing(
    encoder: Encoder, engine: Engine, lengths: list[int], place: int
) -> None:
    """Alone or in any mix, at any place, at any width."""
    (text,) = random_items((17,), seed=1)
    alone = encoder.encode(Microbatch.pack([text]), Width.ONE_LANE)
    neighbours = random_items(tuple(lengths), seed=2)
    place = min(place, len(neighbours))
    start = sum(lengths[:place])
    mix = Microbatch.pack([*neighbours[:place], text, *neighbours[place:]])
    for width in Width:
        states = encoder.encode(mix, width)[start : start + 17]
        np.testing.assert_allclose(states, alone, rtol=0, atol=NEIGHBOUR_TOLERANCES[engine])


def test_runs_at_once_do_not_mix(encoder: Encoder, engine: Engine) -> None:
    """Several threads get what one thread alone gets."""
    microbatches = [Microbatch.pack(random_items(LENGTHS, seed)) for seed in range(3)]
    expected = [encoder.encode(one, Width.ONE_LANE) for one in microbatches]
    worst: list[float] = []

    def run(number: int) -> None:
        for turn in range(10):
            width = list(Width)[(turn + number) % len(Width)]
            states = encoder.encode(microbatches[number], width)
            worst.append(float(np.abs(states - expected[number]).max()))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(worst) == 30
    assert max(worst) <= NEIGHBOUR_TOLERANCES[engine]


def test_a_result_stays_as_it_is(encoder: Encoder) -> None:
    """The next run does not write into the memory of the last one's result."""
    one, other = (Microbatch.pack(random_items(LENGTHS, seed)) for seed in (1, 2))
    first = encoder.encode(one, Width.ONE_LANE)
    kept: FloatArray = first.copy()
    encoder.encode(other, Width.ONE_LANE)
    np.testing.assert_array_equal(first, kept)


def test_an_encoder_tells_what_it_is(encoder: Encoder) -> None:
    """Its width, its cost, and that its vectors are scaled."""
    assert (encoder.hidden_size, encoder.is_normalized) == (36, True)
    num_weights = 30522 * 36 + 2 * 36 * (4 * 36 + 2 * 100)
    assert 3.9 * num_weights < encoder.memory_bytes < 8 * num_weights


@pytest.mark.parametrize("ids", [[30522], [5, 2**31 - 1]])
def test_an_id_beyond_the_vocabulary_is_an_error(encoder: Encoder, ids: list[int]) -> None:
    """Of this run alone."""
    with pytest.raises(EngineError):
        encoder.encode(Microbatch.pack([np.array(ids)]), Width.ONE_LANE)
    assert encoder.encode(Microbatch.pack([np.array([101, 102])]), Width.ONE_LANE).shape == (2, 36)


def test_a_run_outlives_the_unloading_of_its_model(engine: Engine, folder: Path) -> None:
    """A request that nobody waits for any more may still be in a lane."""
    encoder = load_local(folder, engine=engine).encoder
    microbatch = Microbatch.pack([np.arange(64)] * 100)
    expected = encoder.encode(microbatch, Width.ONE_LANE)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(encoder.encode, microbatch, Width.ONE_LANE)
        while not running.running():
            threading.Event().wait(0.001)
        encoder.close()
        error = running.exception()
    if not isinstance(error, EngineError):
        np.testing.assert_allclose(running.result(), expected, rtol=0, atol=TOLERANCE)
    encoder.close()
    with pytest.raises(EngineError):
        encoder.encode(microbatch, Width.ONE_LANE)


def test_packed_weights_are_made_once(
    engine: Engine, tmp_path: Path, all_minilm_files: ModelFiles
) -> None:
    """The second start reads no checkpoint; a damaged copy is made anew."""
    place = tmp_path / "tiny"
    write_random_model(place, SHAPE, all_minilm_files.folder / "tokenizer.json")
    microbatch = Microbatch.pack(random_items(LENGTHS))
    first = load_local(place, engine=engine).encoder.encode(microbatch, Width.ONE_LANE)
    checkpoint = (place / "model.safetensors").read_bytes()
    (place / "model.safetensors").write_bytes(b"gone")
    again = load_local(place, engine=engine).encoder.encode(microbatch, Width.ONE_LANE)
    np.testing.assert_array_equal(again, first)
    (place / "model.safetensors").write_bytes(checkpoint)
    largest = max(place.glob(".graphs/*/*"), key=lambda path: path.stat().st_size)
    largest.write_bytes(largest.read_bytes()[:-4096])
    mended = load_local(place, engine=engine).encoder.encode(microbatch, Width.ONE_LANE)
    np.testing.assert_array_equal(mended, first)
