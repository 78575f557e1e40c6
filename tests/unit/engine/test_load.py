"""From a folder to vectors: tiny models against a plain numpy transformer, caching, self-test."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from support.encoders import numpy_bert

from satsuma.bench.random_model import ModelShape, write_random_model
from satsuma.engine.load import LoadedModel, check_model, estimate_memory_bytes, load_model
from satsuma.engine.native import library
from satsuma.engine.native.packing import PRECISIONS
from satsuma.engine.protocol import Microbatch, Width
from satsuma.errors import (
    EngineError,
    SelfTestError,
    UnsupportedModelError,
    WeightsChangedError,
)
from satsuma.settings import Settings, load_settings
from satsuma.store.catalog import bundled_catalog
from satsuma.store.manifest import ModelFiles, ModelManifest, PublishedVector
from satsuma.types import Engine, Pooling, Precision

SHAPE = ModelShape("tiny", 32, 2, 4, 64, max_positions=64)
SETTINGS: Settings = load_settings({"threads": 2}, environ={})


@pytest.fixture
def tiny(tmp_path: Path, all_minilm_files: ModelFiles) -> ModelFiles:
    """A random model of two layers in a folder of its own."""
    folder = tmp_path / "tiny"
    write_random_model(folder, SHAPE, all_minilm_files.folder / "tokenizer.json")
    manifest = ModelManifest("@local/tiny", "", "", ())
    return ModelFiles(manifest, folder, tmp_path / "graphs", "0" * 64)


def change_config(files: ModelFiles, **values: Any) -> None:
    """Rewrite config.json."""
    path = files.folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_the_two_engines_keep_their_files_apart(tiny: ModelFiles) -> None:
    """A change of engine or precision packs anew, and finds the other's files again."""
    for _ in range(2):
        for engine, precision in (("native", "fp32"), ("onnx", "fp32"), ("native", "int8")):
            flags = {"threads": 1, "engine": engine, "precision": precision}
            load_model(tiny, load_settings(flags, environ={}))
    assert len(list(tiny.graphs_dir.glob("*/packed.json"))) == 3


def test_int8_without_the_native_engine_says_so(tiny: ModelFiles) -> None:
    """Nobody gets another precision than asked for."""
    settings = replace(SETTINGS, engine=Engine.ONNX, precision=Precision.INT8)
    with pytest.raises(EngineError, match="int8 needs the native engine"):
        load_model(tiny, settings)


def test_an_installation_without_the_library_runs_on_onnx_runtime(
    tiny: ModelFiles, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A pure wheel serves all the same, and says what it misses."""
    monkeypatch.setattr(library, "LIBRARY_PATH", tiny.folder / "libsatsuma.so")
    library.load_library.cache_clear()
    try:
        loaded = load_model(tiny, SETTINGS)
        with pytest.raises(EngineError, match="leave out --engine native"):
            load_model(tiny, replace(SETTINGS, engine=Engine.NATIVE))
    finally:
        library.load_library.cache_clear()
    assert type(loaded.encoder).__name__ == "OnnxEncoder"
    assert "ONNX Runtime takes its place" in caplog.text


def test_real_weights_pass_their_self_test_in_int8(all_minilm_files: ModelFiles) -> None:
    """The published vectors refuse other weights, not another arithmetic."""
    published = bundled_catalog().published_vectors(all_minilm_files.manifest.id)
    settings = replace(SETTINGS, precision=Precision.INT8)
    assert load_model(all_minilm_files, settings, published).precision is Precision.INT8


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(
    tiny: ModelFiles, precision: Precision, value: float
) -> None:
    """Int8 would turn them into numbers."""
    path = tiny.folder / "model.safetensors"
    tensors = load_file(path)
    tensors["encoder.layer.1.attention.self.query.weight"][3, 5] = value
    save_file(tensors, path)
    with pytest.raises(UnsupportedModelError, match="not finite"):
        load_model(tiny, replace(SETTINGS, precision=precision))


def test_half_precision_weights_are_served(tiny: ModelFiles) -> None:
    """An F16 checkpoint runs in float32 on its rounded values."""
    path = tiny.folder / "model.safetensors"
    halves = {name: values.astype(np.float16) for name, values in load_file(path).items()}
    save_file(halves, path)
    states = load_model(tiny, SETTINGS).encoder.encode(
        Microbatch.pack([np.array([101, 2088, 102])]), Width.ALL_CORES
    )
    np.testing.assert_allclose(
        states, numpy_bert(tiny.folder, np.array([101, 2088, 102])), atol=5e-6
    )


def test_limits_come_from_the_manifest_and_the_positions(tiny: ModelFiles) -> None:
    """A manifest may ask for less than the position table, never for more."""
    for asked, expected in ((0, 64), (10, 10), (500, 64)):
        files = replace(tiny, manifest=replace(tiny.manifest, max_tokens=asked))
        assert load_model(files, SETTINGS).tokenizer.max_tokens == expected


def test_an_unsupported_architecture_says_what_is(tiny: ModelFiles) -> None:
    """Nothing is built for it."""
    change_config(tiny, model_type="llama")
    with pytest.raises(UnsupportedModelError, match="'llama' is not supported; supported: bert"):
        load_model(tiny, SETTINGS)
    assert not tiny.graphs_dir.exists()


@pytest.mark.parametrize("content", ["", "{", "[]"])
def test_a_damaged_config_is_an_error_of_ours(tiny: ModelFiles, content: str) -> None:
    """config.json that is no JSON object."""
    (tiny.folder / "config.json").write_text(content)
    with pytest.raises(UnsupportedModelError, match=r"config\.json"):
        load_model(tiny, SETTINGS)


def test_a_shard_without_tensors_is_refused(tiny: ModelFiles) -> None:
    """The first missing tensor is named."""
    save_file({"x": np.zeros(1, np.float32)}, tiny.folder / "model.safetensors")
    shutil.rmtree(tiny.graphs_dir, ignore_errors=True)
    with pytest.raises(UnsupportedModelError, match=r"no tensor embeddings\.word_emb"):
        load_model(tiny, SETTINGS)


def test_the_self_test_names_what_differs(all_minilm_files: ModelFiles) -> None:
    """Text, expected and actual values, and how to go on."""
    wrong = PublishedVector("hello world", Pooling.MEAN, (0.5, 0.25), "a paper")
    with pytest.raises(SelfTestError) as caught:
        load_model(all_minilm_files, SETTINGS, [wrong])
    message = str(caught.value)
    for part in ("'hello world'", "0.500000", "-0.034477", "a paper", "--skip-self-test"):
        assert part in message


def test_the_self_test_can_be_skipped(all_minilm_files: ModelFiles) -> None:
    """Then anything is served."""
    wrong = PublishedVector("hello world", Pooling.MEAN, (0.5,), "a paper")
    settings = load_settings({"skip_self_test": True}, environ={})
    load_model(all_minilm_files, settings, [wrong])


def test_published_vectors_pass(all_minilm: LoadedModel) -> None:
    """The published start of 'hello world' to 1e-6."""
    first = all_minilm.embed_one("hello world", Pooling.MEAN)[:5]
    expected = [-0.03447729, 0.03102315, 0.00673496, 0.02610902, -0.03936213]
    np.testing.assert_allclose(first, expected, atol=1e-6)


@pytest.mark.parametrize("engine", [Engine.NATIVE, Engine.ONNX])
def test_mapped_weights_that_are_written_to_answer_nothing(
    tiny: ModelFiles, engine: Engine
) -> None:
    """A mapping shows what is written into its file, and the vectors would be others."""
    encoder = load_model(tiny, replace(SETTINGS, engine=engine)).encoder
    microbatch = Microbatch.pack([np.arange(9)])
    encoder.encode(microbatch, Width.ONE_LANE)
    with largest_file(tiny.graphs_dir).open("r+b") as file:
        file.seek(5_000)
        file.write(b"\x7f" * 100)
    for _ in range(2):
        with pytest.raises(WeightsChangedError, match="was written to"):
            encoder.encode(microbatch, Width.ONE_LANE)


@pytest.mark.parametrize("engine", [Engine.NATIVE, Engine.ONNX])
@pytest.mark.parametrize("harm", ["delete", "replace"])
def test_mapped_weights_may_go(tiny: ModelFiles, engine: Engine, harm: str) -> None:
    """The mapping keeps the file that it was made of."""
    encoder = load_model(tiny, replace(SETTINGS, engine=engine)).encoder
    microbatch = Microbatch.pack([np.arange(9)])
    expected = encoder.encode(microbatch, Width.ONE_LANE)
    weights = largest_file(tiny.graphs_dir)
    if harm == "delete":
        shutil.rmtree(weights.parent)
    else:
        other = weights.with_name("other")
        other.write_bytes(bytes(weights.stat().st_size))
        other.replace(weights)
    np.testing.assert_array_equal(encoder.encode(microbatch, Width.ONE_LANE), expected)


def largest_file(folder: Path) -> Path:
    """Find the packed weights."""
    return max(folder.glob("*/*"), key=lambda path: path.stat().st_size)


def test_memory_is_that_of_fp32(tiny: ModelFiles) -> None:
    """A checkpoint of 16-bit numbers takes twice its size; of one that is none, the file counts."""
    path = tiny.folder / "model.safetensors"
    whole = estimate_memory_bytes(tiny)
    tensors = load_file(path)
    assert whole == sum(4 * values.size for values in tensors.values())
    save_file({name: values.astype(np.float16) for name, values in tensors.items()}, path)
    assert estimate_memory_bytes(tiny) == whole > 1.5 * path.stat().st_size
    path.write_bytes(b"x" * 100)
    assert estimate_memory_bytes(tiny) == 100


def test_a_model_is_checked_without_loading_it(tiny: ModelFiles) -> None:
    """Its numbers, its tokenizer, and the names and shapes of its tensors."""
    traits = check_model(tiny)
    assert traits.hidden_size == load_model(tiny, SETTINGS).encoder.hidden_size
    path = tiny.folder / "model.safetensors"
    tensors = load_file(path)
    save_file({name: t for name, t in tensors.items() if "layer.1.output" not in name}, path)
    with pytest.raises(UnsupportedModelError, match=r"layer\.1\.output"):
        check_model(tiny)
