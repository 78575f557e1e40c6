"""The native engine: independence of neighbours, int8, bounds, its check of the processor."""

from __future__ import annotations

import ctypes
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.encoders import numpy_bert

from satsuma.bench.random_model import ModelShape, write_random_model
from satsuma.engine.load import load_model
from satsuma.engine.native import library, verify
from satsuma.engine.native.packing import (
    PRECISIONS,
    Target,
    column_scales,
    pack_bias,
    pack_panels,
    quantize_panels,
)
from satsuma.engine.protocol import Encoder, Microbatch, Width
from satsuma.errors import EngineError
from satsuma.settings import load_settings
from satsuma.store.manifest import ModelFiles, ModelManifest
from satsuma.types import IntArray

TARGET = Target("test", panel_columns=16, quad_limit=126)
LENGTHS = (1, 64, 7, 30, 2, 13)
# Heads of 12 and an intermediate size of 100 leave remainders in every kind of loop.
SHAPE = ModelShape("odd", 36, 2, 3, 100, max_positions=64)


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory, all_minilm_files: ModelFiles) -> ModelFiles:
    """A random model of awkward sizes."""
    root = tmp_path_factory.mktemp("odd")
    write_random_model(root / "model", SHAPE, all_minilm_files.folder / "tokenizer.json")
    manifest = ModelManifest("@local/odd", "", "", ())
    return ModelFiles(manifest, root / "model", root / "graphs", "1" * 64)


@pytest.fixture(scope="module", params=PRECISIONS)
def encoder(request: pytest.FixtureRequest, odd: ModelFiles) -> Encoder:
    """The model, in each precision."""
    flags = {"threads": 3, "engine": "native", "precision": request.param}
    return load_model(odd, load_settings(flags, environ={})).encoder


def random_items(seed: int = 0, lengths: tuple[int, ...] = LENGTHS) -> list[IntArray]:
    """Texts of random tokens."""
    random = np.random.default_rng(seed)
    return [random.integers(0, 30522, length) for length in lengths]


def test_int8_stays_close_to_a_plain_transformer(odd: ModelFiles) -> None:
    """Every token's hidden state points where it should."""
    flags = {"threads": 1, "precision": "int8"}
    encoder = load_model(odd, load_settings(flags, environ={})).encoder
    items = random_items()
    states = encoder.encode(Microbatch.pack(items), Width.ONE_LANE)
    expected = np.concatenate([numpy_bert(odd.folder, item) for item in items])
    norms = np.linalg.norm(states, axis=1) * np.linalg.norm(expected, axis=1)
    assert ((states * expected).sum(axis=1) / norms).min() > 0.999


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 64), min_size=1, max_size=12), st.integers(0, 5))
def test_a_text_gives_the_same_bits_whatever_its_neighbours(
    encoder: Encoder, lengths: list[int], place: int
) -> None:
    """Alone or in any mix, at any place, on one core or several: not one bit differs."""
    (text,) = random_items(1, (17,))
    alone = encoder.encode(Microbatch.pack([text]), Width.ONE_LANE)
    neighbours = random_items(2, tuple(lengths))
    place = min(place, len(neighbours))
    mix = Microbatch.pack([*neighbours[:place], text, *neighbours[place:]])
    start = sum(lengths[:place])
    for width in Width:
        states = encoder.encode(mix, width)
        np.testing.assert_array_equal(states[start : start + 17], alone)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_rows_that_stay_packed_are_the_runs_own(
    tmp_path: Path, all_minilm_files: ModelFiles, precision: str
) -> None:
    """Tasks of a step share them, over several depths of a product; another run has others."""
    shape = ModelShape("deep", 64, 2, 2, 1700, max_positions=64)
    write_random_model(tmp_path / "model", shape, all_minilm_files.folder / "tokenizer.json")
    manifest = ModelManifest("@local/deep", "", "", ())
    files = ModelFiles(manifest, tmp_path / "model", tmp_path / "graphs", "2" * 64)
    flags = {"threads": 3, "engine": "native", "precision": precision}
    encoder = load_model(files, load_settings(flags, environ={})).encoder
    for lengths in ((1,), (12,), (47,), (48,), (49,), (20, 28), (20, 29)):
        for seed in (1, 2):
            batch = Microbatch.pack(random_items(seed, lengths))
            alone = encoder.encode(batch, Width.ONE_CORE)
            np.testing.assert_array_equal(encoder.encode(batch, Width.ALL_CORES), alone)


def test_runs_at_once_do_not_mix(encoder: Encoder) -> None:
    """Several threads, wide and narrow, get what one thread alone gets."""
    batches = [Microbatch.pack(random_items(seed)) for seed in range(4)]
    expected = [encoder.encode(batch, Width.ONE_LANE) for batch in batches]
    wrong: list[int] = []

    def run(number: int) -> None:
        for turn in range(30):
            width = Width.ALL_CORES if (turn + number) % 2 else Width.ONE_LANE
            if not np.array_equal(encoder.encode(batches[number], width), expected[number]):
                wrong.append(number)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("ids", [[30522], [-1], [5, 2**40]])
def test_an_id_beyond_the_vocabulary_is_an_error(encoder: Encoder, ids: list[int]) -> None:
    """C would read whatever lies there."""
    with pytest.raises(EngineError, match="beyond the vocabulary of 30522"):
        encoder.encode(Microbatch.pack([np.array(ids)]), Width.ONE_LANE)


def test_an_item_beyond_the_positions_is_an_error(encoder: Encoder) -> None:
    """The same of positions."""
    with pytest.raises(EngineError, match="65 tokens, and 64 positions"):
        encoder.encode(Microbatch.pack([np.zeros(65, np.int64)]), Width.ONE_LANE)


def test_panels_hold_columns_side_by_side() -> None:
    """Row by row of a panel; columns beyond the end are 0."""
    weight = np.arange(20 * 3, dtype=np.float32).reshape(20, 3)  # (N, K)
    panels = pack_panels(weight, TARGET)
    assert panels.shape == (2, 3, 16)
    np.testing.assert_array_equal(panels[0, 1], weight[:16, 1])
    np.testing.assert_array_equal(panels[1, 2], [*weight[16:, 2], *[0] * 12])
    np.testing.assert_array_equal(pack_bias(np.ones(20, np.float32), TARGET), [1] * 20 + [0] * 12)


@given(st.integers(0, 2**32 - 1), st.sampled_from([126, 508]))
def test_weights_never_overflow_sixteen_bits(seed: int, quad_limit: int) -> None:
    """Not even with the largest activations, on a processor that adds products in 16 bits."""
    random = np.random.default_rng(seed)
    weight = (random.standard_normal((5, 24)) ** 3).astype(np.float32)
    panels, scale, sums = quantize_panels(weight, replace(TARGET, quad_limit=quad_limit))
    quantized = panels.transpose(0, 2, 1, 3).reshape(16, 24)[:5].astype(int)  # (N, K)
    for part in (np.maximum(quantized, 0), np.minimum(quantized, 0)):
        quads = 255 * part.reshape(5, 3, 2, 2, 2).sum(axis=(2, 4))  # two groups, by pairs
        assert quad_limit == 508 or (quads.max() <= 2**15 - 1 and quads.min() >= -(2**15))
    np.testing.assert_allclose(quantized * scale[:5, None], weight, atol=scale.max() / 2 + 1e-6)
    np.testing.assert_allclose(
        sums[:5], (quantized * scale[:5, None]).sum(axis=1), rtol=1e-5, atol=1e-4
    )


def test_large_weights_of_four_places_share_the_range() -> None:
    """A lone peak keeps the whole range; two of one sign halve it, even in the other group."""
    weight = np.zeros((4, 8), np.float32)
    weight[0, 0] = 127
    weight[1, [0, 5]] = 126
    weight[2, [0, 1]] = 127, -127
    weight[3, [1, 2]] = 127
    np.testing.assert_allclose(column_scales(weight, 126), [127 / 126, 2, 127 / 126, 127 / 126])
    np.testing.assert_allclose(column_scales(weight, 508), [1, 126 / 127, 1, 1])


def test_kernels_that_compute_wrongly_are_passed_over(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A processor on which fast code fails gets right answers, and a warning."""
    fast, plain = library.list_kernels()[0], library.list_kernels()[-1]
    # Weights packed for wider panels than the code reads: other values, and none beyond the file.
    wrong = replace(fast, target=replace(fast.target, panel_columns=fast.target.panel_columns * 2))
    monkeypatch.setattr(verify, "list_kernels", lambda: [wrong, plain])
    verify.best_kernels.cache_clear()
    try:
        assert verify.best_kernels() == plain
    finally:
        verify.best_kernels.cache_clear()
    assert "they are not used" in caplog.text


def test_every_kind_of_kernels_here_is_right() -> None:
    """What this processor runs, against plain C."""
    *fast, plain = library.list_kernels()
    for kernels in fast:
        for precision in PRECISIONS:
            assert verify.is_right(kernels, plain, precision), kernels.target.name


def test_the_structures_have_the_sizes_that_c_gives_them() -> None:
    """The mirror in Python has every member."""
    sizes = (ctypes.c_int64 * 3).in_dll(library.load_library(), "struct_sizes")
    mirrors = (library.StepStruct, library.BatchStruct, library.KernelsStruct)
    assert [ctypes.sizeof(mirror) for mirror in mirrors] == list(sizes)
