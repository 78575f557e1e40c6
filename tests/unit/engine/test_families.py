"""What each family reads from config.json and refuses, and how its parts fit together."""

from __future__ import annotations

import json
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from support.families import CONFIGS, random_items, write_family

from satsuma.engine.architectures import SUPPORTED_MODEL_TYPES, parse_config
from satsuma.engine.architectures.bert import BertConfig
from satsuma.engine.architectures.blueprint import Architecture, Dense
from satsuma.engine.architectures.folder import check_folder
from satsuma.engine.architectures.gemma3 import Gemma3Config
from satsuma.engine.architectures.qwen3 import Qwen3Config
from satsuma.engine.architectures.steps import Product
from satsuma.engine.architectures.tensors import Linear
from satsuma.engine.load import load_model
from satsuma.engine.protocol import Microbatch, Width
from satsuma.errors import EngineError, UnsupportedModelError
from satsuma.settings import load_settings
from satsuma.store.manifest import ModelFiles, ModelManifest
from satsuma.types import Pooling

ONNX = load_settings({"threads": 1, "engine": "onnx"}, environ={})
NATIVE = load_settings({"threads": 1, "engine": "native"}, environ={})


@pytest.fixture
def tokenizer_json(all_minilm_files: ModelFiles) -> Path:
    """Any tokenizer will do."""
    return all_minilm_files.folder / "tokenizer.json"


def files(folder: Path) -> ModelFiles:
    """A folder as an installed model."""
    manifest = ModelManifest(f"@local/{folder.name}", "", "", ())
    return ModelFiles(manifest, folder, folder / ".graphs", "1" * 64)


def test_positions_begin_beyond_the_padding() -> None:
    """XLM-R's 8,194 rows are 8,192 tokens."""
    config = parse_config(CONFIGS["xlm_roberta"] | {"max_position_embeddings": 8194})
    assert isinstance(config, BertConfig)
    assert (config.first_position, config.max_tokens) == (2, 8192)


def test_a_window_for_both_sides_is_halved() -> None:
    """Looking both ways, the published number is of both sides together."""
    both, one = (
        parse_config(CONFIGS["gemma3"] | {"use_bidirectional_attention": is_both})
        for is_both in (True, False)
    )
    assert isinstance(both, Gemma3Config)
    assert isinstance(one, Gemma3Config)
    assert (both.window, both.is_causal) == (13, False)
    assert (one.window, one.is_causal) == (24, True)


def test_layers_with_a_window_are_listed_or_counted() -> None:
    """Every third sees everything here, whichever way the config says so."""
    listed = parse_config(CONFIGS["gemma3"])
    counted = parse_config({k: v for k, v in CONFIGS["gemma3"].items() if k != "layer_types"})
    assert listed == counted
    assert isinstance(listed, Gemma3Config)
    assert listed.has_window == (True, True, False)


def test_rotary_bases_are_read_in_both_spellings() -> None:
    """Older configs have numbers, newer ones a table."""
    newer = {"rope_parameters": {"rope_theta": 5e5, "rope_type": "default"}}
    config = parse_config({**CONFIGS["qwen3"], **newer})
    assert isinstance(config, Qwen3Config)
    assert config.theta == 5e5


def test_nomics_numbers_are_read_in_both_spellings() -> None:
    """Older configs have GPT-2's words, newer ones BERT's; older ones have to say all they ask."""
    both = CONFIGS["nomic"]
    words = ("hidden_", "num_", "intermediate_", "max_position_", "layer_norm_eps", "rope_")
    older = {k: v for k, v in both.items() if not k.startswith(words) or k == "layer_norm_epsilon"}
    newer = {k: v for k, v in both.items() if k.startswith((*words, "model_", "type_", "vocab_"))}
    assert parse_config(older) == parse_config(newer) == parse_config(both)
    assert parse_config(both).max_tokens == 128
    with pytest.raises(UnsupportedModelError, match="qkv_proj_bias None"):
        parse_config({k: v for k, v in older.items() if k != "qkv_proj_bias"})


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("qwen3", {"hidden_act": "gelu"}, "hidden_act 'gelu' is not supported; supported: silu"),
        ("qwen3", {"attention_bias": True}, "attention_bias True"),
        ("qwen3", {"use_sliding_window": True}, "use_sliding_window True"),
        ("qwen3", {"rope_scaling": {"type": "yarn"}}, "rope_scaling .*yarn.*supported: none"),
        ("qwen3", {"rope_theta": "x"}, "rope_theta 'x'"),
        ("qwen3", {"num_key_value_heads": 3}, "num_key_value_heads 3 does not divide"),
        ("gemma3", {"layer_types": ["full_attention"]}, "layer_types 1"),
        ("gemma3", {"layer_types": ["odd"] * 3}, "layer_types 'odd'"),
        ("gemma3", {"attn_logit_softcapping": 50.0}, "softcapping 50.0"),
        ("gemma3", {"query_pre_attn_scalar": None}, "query_pre_attn_scalar None"),
        ("xlm_roberta", {"pad_token_id": -1}, "pad_token_id -1"),
        ("modernbert", {"norm_bias": True}, "norm_bias True"),
        ("modernbert", {"hidden_activation": "relu"}, "hidden_activation 'relu'"),
        ("nomic", {"activation_function": "gelu"}, "activation_function 'gelu'"),
        ("nomic", {"prenorm": True}, "prenorm True"),
        ("nomic", {"qkv_proj_bias": True}, "qkv_proj_bias True"),
        ("nomic", {"rotary_emb_fraction": 0.5}, "rotary_emb_fraction 0.5"),
        ("nomic", {"rotary_scaling_factor": 2}, "rotary_scaling_factor 2 .*supported: none"),
        ("nomic", {"num_experts": 8}, "num_experts 8"),
        ("qwen3", {"num_hidden_layers": 10**9}, "num_hidden_layers 1000000000; 4096 is the most"),
        ("qwen3", {"vocab_size": 10**30}, "16777216 is the most"),
        ("qwen3", {"rope_parameters": [1]}, "cannot be understood"),
        ("qwen3", {"rope_theta": 10**400}, "cannot be understood"),
        ("gemma3", {"layer_types": 5}, "cannot be understood"),
        ("gemma3", {"num_key_value_heads": 0}, "num_key_value_heads 0; a whole number"),
        ("qwen3", {"is_causal": False}, "is_causal False"),
        ("qwen3", {"auto_map": {"AutoModel": "modeling_x.Y"}}, r"code .*\(modeling_x\.Y\)"),
        (
            "qwen3",
            {"architectures": ["Qwen3ForSequenceClassification"]},
            "classifier Qwen3ForSequenceClassification.*xlm-roberta, roberta, camembert",
        ),
        ("xlm_roberta", {"is_decoder": True}, "is_decoder True"),
        ("xlm_roberta_classifier", {"id2label": {"0": "a", "1": "b"}}, "number of labels 2"),
        ("xlm_roberta_classifier", {"id2label": 5}, "cannot be understood"),
        ("xlm_roberta", {"architectures": 5}, "cannot be understood"),
        ("xlm_roberta", {"auto_map": 5}, "cannot be understood"),
        ("xlm_roberta", {"max_position_embeddings": 10**18}, "16777216 is the most"),
    ],
)
def test_what_a_family_does_not_do_is_named(
    name: str, change: dict[str, Any], message: str
) -> None:
    """The message says what it is, and what would do."""
    with pytest.raises(UnsupportedModelError, match=message):
        parse_config(CONFIGS[name] | change)


def test_a_config_need_not_name_its_architecture() -> None:
    """Nothing, or null, is no classifier."""
    whole = CONFIGS["xlm_roberta"]
    bare = {key: value for key, value in whole.items() if key != "architectures"}
    assert parse_config(bare) == parse_config(bare | {"architectures": None}) == parse_config(whole)


def test_nomics_own_code_is_what_its_family_says() -> None:
    """Its published configs name it; a config's own class is no model."""
    assert parse_config(CONFIGS["nomic"] | {"auto_map": {"AutoModel": "modeling_x.Y"}})
    assert parse_config(CONFIGS["qwen3"] | {"auto_map": {"AutoConfig": "configuration_x.Y"}})


def test_every_family_has_a_reference() -> None:
    """A family that is added here is compared with transformers."""
    compared = {config["model_type"] for config in CONFIGS.values()} | {"bert"}
    twins = {"roberta", "camembert"}  # of xlm-roberta
    assert set(SUPPORTED_MODEL_TYPES) == compared | twins


@pytest.mark.parametrize("name", ["qwen3", "gemma3", "xlm_roberta_classifier"])
def test_onnx_runtime_says_what_it_cannot_run(
    name: str, tmp_path: Path, tokenizer_json: Path
) -> None:
    """Before anything is built."""
    folder = write_family(tmp_path / name, name, tokenizer_json)
    with pytest.raises(EngineError, match="needs the native engine"):
        load_model(files(folder), ONNX)


def test_both_engines_run_xlm_roberta(tmp_path: Path, tokenizer_json: Path) -> None:
    """It is BERT but for its positions."""
    folder = write_family(tmp_path / "x", "xlm_roberta", tokenizer_json)
    microbatch = Microbatch.pack(random_items())
    native, onnx = (
        load_model(files(folder), settings).encoder.encode(microbatch, Width.ONE_LANE)
        for settings in (NATIVE, ONNX)
    )
    np.testing.assert_allclose(native, onnx, atol=5e-6)


def test_a_classifier_gives_scores(tmp_path: Path, tokenizer_json: Path) -> None:
    """One number a pair of texts, not scaled to length 1."""
    folder = write_family(tmp_path / "r", "xlm_roberta_classifier", tokenizer_json)
    model = load_model(files(folder), NATIVE)
    assert model.gives_scores
    assert (model.pooling, model.encoder.hidden_size) == (Pooling.CLS, 1)
    assert abs(float(model.embed_one("a pair", model.pooling)[0])) != 1.0


def test_modules_decide_on_length(tmp_path: Path, tokenizer_json: Path) -> None:
    """Without a normalising module, vectors are as long as the model makes them."""
    folder = write_family(tmp_path / "q", "qwen3", tokenizer_json)
    listed = json.loads((folder / "modules.json").read_text())
    (folder / "modules.json").write_text(json.dumps(listed[:-1]))
    vector = load_model(files(folder), NATIVE).embed_one("hello", Pooling.LAST_TOKEN)
    assert not 0.99 < float(np.linalg.norm(vector)) < 1.01


def test_other_dense_layers_are_another_model(tmp_path: Path, tokenizer_json: Path) -> None:
    """Also behind the same encoder, of which alone the checkpoint's digest tells."""
    folder = write_family(tmp_path / "g", "gemma3", tokenizer_json)
    first = load_model(files(folder), NATIVE).embed_one("hello", Pooling.MEAN)
    weights = folder / "2_Dense" / "model.safetensors"
    layer = load_file(weights)["linear.weight"]
    save_file({"linear.weight": np.ascontiguousarray(layer[::-1])}, weights)
    second = load_model(files(folder), NATIVE).embed_one("hello", Pooling.MEAN)
    assert float(first @ second) < 0.99


def test_layers_with_nothing_between_them_are_one_product() -> None:
    """And one with an activation stays itself."""
    config = parse_config(CONFIGS["qwen3"])
    denses = (
        Dense(Linear.unbiased("0_Dense/linear", 72, 36), "identity"),
        Dense(Linear.named("1_Dense/linear", 36, 72), "tanh"),
        Dense(Linear.named("2_Dense/linear", 20, 36), "identity"),
    )
    architecture = Architecture(config, denses)
    steps = architecture.blueprint(()).steps[len(config.blueprint(()).steps) :]
    assert [type(step) for step in steps] == [Product, Product]
    assert [tensor.name for tensor in steps[0].tensors] == [
        "1_Dense/linear.weight",
        "1_Dense/linear.bias",
        "0_Dense/linear.weight",
    ]
    assert architecture.hidden_size == 20


@pytest.mark.parametrize(
    ("folder", "change"),
    [
        ("2_Dense", {"in_features": 72}),
        ("2_Dense", {"out_features": 0}),
        ("3_Dense", {"in_features": 8}),
    ],
)
def test_a_layer_that_takes_other_rows_than_it_gets_is_refused(
    tmp_path: Path, tokenizer_json: Path, folder: str, change: dict[str, int]
) -> None:
    """The kernels would read beyond a row's end, and give away what lies there."""
    model = write_family(tmp_path / "g", "gemma3", tokenizer_json)
    config = model / folder / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | change))
    with pytest.raises(UnsupportedModelError, match="it gets rows of"):
        load_model(files(model), NATIVE)


def test_a_long_texts_memory_grows_as_the_text_does(tmp_path: Path, tokenizer_json: Path) -> None:
    """And not as its square: all scores of 8,192 tokens would be 268 MB a head."""
    folder = write_family(tmp_path / "q", "qwen3", tokenizer_json)
    config = CONFIGS["qwen3"] | {"max_position_embeddings": 8192}  # no tensor depends on it
    (folder / "config.json").write_text(json.dumps(config))
    encoder = load_model(files(folder), NATIVE).encoder
    peaks_bytes = []
    tracemalloc.start()  # numpy's arrays, of which the kernels' buffers are made, are told to it
    for length in (2048, 8192):
        microbatch = Microbatch.pack(random_items((length,)))
        tracemalloc.reset_peak()
        encoder.encode(microbatch, Width.ONE_LANE)
        peaks_bytes.append(tracemalloc.get_traced_memory()[1])
    tracemalloc.stop()
    assert peaks_bytes[1] < 8 * peaks_bytes[0]  # its square is 16 times as much
    assert peaks_bytes[1] < 50_000_000


def test_joined_layers_give_what_they_give_one_by_one() -> None:
    """Weights and biases."""
    random = np.random.default_rng(0)
    tensors = {
        "a.weight": random.standard_normal((5, 3), np.float32),
        "a.bias": random.standard_normal(5, np.float32),
        "b.weight": random.standard_normal((2, 5), np.float32),
        "b.bias": random.standard_normal(2, np.float32),
    }
    joined = replace(Linear.named("b", 2, 5), before=Linear.named("a", 5, 3))
    weight, bias = joined.read(tensors.__getitem__)
    x = random.standard_normal(3, np.float32)
    inner = tensors["a.weight"] @ x + tensors["a.bias"]
    expected = tensors["b.weight"] @ inner + tensors["b.bias"]
    np.testing.assert_allclose(weight @ x + bias, expected, rtol=1e-5)


def test_small_files_are_enough_to_refuse(tmp_path: Path, tokenizer_json: Path) -> None:
    """What the engine cannot run is known before the weights are there."""
    folder = write_family(tmp_path / "q", "qwen3", tokenizer_json)
    (folder / "model.safetensors").unlink()
    check_folder(folder)
    (folder / "config.json").write_text(json.dumps(CONFIGS["qwen3"] | {"rope_scaling": {"x": 1}}))
    with pytest.raises(UnsupportedModelError, match="rope_scaling"):
        check_folder(folder)
