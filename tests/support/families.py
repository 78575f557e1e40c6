"""Small models of each family's true form, with random weights: the same bytes on every machine.

The configs have the keys of the published ones, scaled down, with sizes that leave remainders. The
reference of the same weights is recorded by scripts/golden_families.py.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from satsuma.engine.architectures import parse_config
from satsuma.engine.architectures.tensors import Tensor
from satsuma.types import FloatArray, IntArray

VOCABULARY = 30522  # of the tokenizer that the tests have
LENGTHS = (1, 2, 9, 40, 120)
_DEVIATION = 0.1  # of biases, and of gains around 1

_ROBERTA = {
    "attention_probs_dropout_prob": 0.1,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "hidden_size": 36,
    "initializer_range": 0.02,
    "intermediate_size": 100,
    "layer_norm_eps": 1e-05,
    "max_position_embeddings": 130,
    "num_attention_heads": 3,
    "num_hidden_layers": 2,
    "pad_token_id": 1,
    "position_embedding_type": "absolute",
    "type_vocab_size": 1,
    "vocab_size": VOCABULARY,
}

CONFIGS: Mapping[str, dict[str, Any]] = {
    "xlm_roberta": {
        **_ROBERTA,
        "architectures": ["XLMRobertaModel"],
        "model_type": "xlm-roberta",
    },
    "xlm_roberta_classifier": {
        **_ROBERTA,
        "architectures": ["XLMRobertaForSequenceClassification"],
        "id2label": {"0": "LABEL_0"},
        "label2id": {"LABEL_0": 0},
        "model_type": "xlm-roberta",
    },
    "qwen3": {
        "architectures": ["Qwen3ForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": 3,
        "eos_token_id": 3,
        "head_dim": 20,
        "hidden_act": "silu",
        "hidden_size": 36,
        "initializer_range": 0.02,
        "intermediate_size": 100,
        "max_position_embeddings": 128,
        "max_window_layers": 2,
        "model_type": "qwen3",
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-06,
        "rope_scaling": None,
        "rope_theta": 1000000,
        "sliding_window": None,
        "tie_word_embeddings": True,
        "use_sliding_window": False,
        "vocab_size": VOCABULARY,
    },
    "modernbert": {
        "architectures": ["ModernBertModel"],
        "attention_bias": False,
        "global_attn_every_n_layers": 3,
        "global_rope_theta": 160000.0,
        "hidden_activation": "gelu",
        "hidden_size": 60,
        "intermediate_size": 68,
        "local_attention": 24,
        "local_rope_theta": 10000.0,
        "max_position_embeddings": 128,
        "mlp_bias": False,
        "model_type": "modernbert",
        "norm_bias": False,
        "norm_eps": 1e-05,
        "num_attention_heads": 3,
        "num_hidden_layers": 4,
        "pad_token_id": 0,
        "vocab_size": VOCABULARY,
    },
    "nomic": {
        "activation_function": "swiglu",
        "architectures": ["NomicBertModel"],
        "attn_pdrop": 0.0,
        "causal": False,
        "hidden_act": "silu",
        "hidden_size": 36,
        "intermediate_size": 68,
        "layer_norm_eps": 1e-12,
        "layer_norm_epsilon": 1e-12,
        "max_position_embeddings": 128,
        "max_trained_positions": 128,
        "mlp_fc1_bias": False,
        "mlp_fc2_bias": False,
        "model_type": "nomic_bert",
        "n_embd": 36,
        "n_head": 3,
        "n_inner": 68,
        "n_layer": 2,
        "n_positions": 512,
        "num_attention_heads": 3,
        "num_hidden_layers": 2,
        "parallel_block": False,
        "prenorm": False,
        "qkv_proj_bias": False,
        "rope_parameters": {"rope_theta": 1000.0, "rope_type": "default"},
        "rotary_emb_base": 1000,
        "rotary_emb_fraction": 1.0,
        "rotary_emb_interleaved": False,
        "rotary_emb_scale_base": None,
        "rotary_scaling_factor": None,
        "type_vocab_size": 2,
        "use_rms_norm": False,
        "vocab_size": VOCABULARY,
    },
    "gemma3": {
        "_sliding_window_pattern": 3,
        "architectures": ["Gemma3TextModel"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "attn_logit_softcapping": None,
        "bos_token_id": 2,
        "eos_token_id": 1,
        "final_logit_softcapping": None,
        "head_dim": 20,
        "hidden_activation": "gelu_pytorch_tanh",
        "hidden_size": 36,
        "initializer_range": 0.02,
        "intermediate_size": 68,
        "layer_types": ["sliding_attention", "sliding_attention", "full_attention"],
        "max_position_embeddings": 128,
        "model_type": "gemma3_text",
        "num_attention_heads": 3,
        "num_hidden_layers": 3,
        "num_key_value_heads": 1,
        "pad_token_id": 0,
        "query_pre_attn_scalar": 24,
        "rms_norm_eps": 1e-06,
        "rope_local_base_freq": 10000.0,
        "rope_scaling": None,
        "rope_theta": 1000000.0,
        "sliding_window": 24,
        "use_bidirectional_attention": True,
        "vocab_size": VOCABULARY,
    },
}

# What sentence-transformers adds: kinds of modules and their config.json.
_MEAN = {"word_embedding_dimension": 36, "pooling_mode_mean_tokens": True, "include_prompt": True}
_LAST = {"word_embedding_dimension": 36, "pooling_mode_lasttoken": True, "include_prompt": True}
_CLS = {"word_embedding_dimension": 36, "pooling_mode_cls_token": True}
_IDENTITY = "torch.nn.modules.linear.Identity"
_WIDE = {"in_features": 36, "out_features": 72, "bias": False, "activation_function": _IDENTITY}
_NARROW = {"in_features": 72, "out_features": 36, "bias": False, "activation_function": _IDENTITY}
MODULES: Mapping[str, tuple[tuple[str, dict[str, Any]], ...]] = {
    "xlm_roberta": (("Pooling", _CLS), ("Normalize", {})),
    "qwen3": (("Pooling", _LAST), ("Normalize", {})),
    "gemma3": (("Pooling", _MEAN), ("Dense", _WIDE), ("Dense", _NARROW), ("Normalize", {})),
}
PROMPTS: Mapping[str, dict[str, str]] = {
    "gemma3": {"query": "task: search result | query: ", "document": "title: none | text: "},
    "qwen3": {"query": "Instruct: find what answers the query\nQuery:", "document": ""},
}


def random_items(lengths: tuple[int, ...] = LENGTHS, seed: int = 0) -> list[IntArray]:
    """Draw texts of random tokens, none of them the padding."""
    random = np.random.Generator(np.random.PCG64(seed))
    return [random.integers(5, VOCABULARY, length) for length in lengths]


def write_family(
    folder: Path, name: str, tokenizer_json: Path, *, has_modules: bool = True, seed: int = 0
) -> Path:
    """Write a complete model folder of a family, with or without sentence-transformers' files."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_json(folder / "config.json", CONFIGS[name])
    shutil.copyfile(tokenizer_json, folder / "tokenizer.json")
    tensors = {t.name: t for t in parse_config(CONFIGS[name]).blueprint(()).tensors}
    stream = np.random.PCG64(seed)
    weights = {key: _draw(stream, tensor) for key, tensor in tensors.items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    if has_modules and name in MODULES:
        _write_modules(folder, name, stream)
    return folder


def _write_modules(folder: Path, name: str, stream: np.random.PCG64) -> None:
    modules = [("Transformer", ""), *((kind, f"{i}_{kind}") for i, (kind, _) in _numbered(name))]
    listed = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (kind, path) in enumerate(modules)
    ]
    _write_json(folder / "modules.json", listed)
    _write_json(folder / "sentence_bert_config.json", {"max_seq_length": 100})
    fast = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "[PAD]"}
    _write_json(folder / "tokenizer_config.json", fast)
    about = {"prompts": PROMPTS.get(name, {}), "default_prompt_name": None}
    _write_json(folder / "config_sentence_transformers.json", about)
    for number, (kind, config) in _numbered(name):
        place = folder / f"{number}_{kind}"
        place.mkdir()
        if config:
            _write_json(place / "config.json", config)
        if kind == "Dense":
            shape = (config["out_features"], config["in_features"])
            weight = _draw(stream, Tensor("linear.weight", shape))
            save_file({"linear.weight": weight}, place / "model.safetensors")


def _numbered(name: str) -> list[tuple[int, tuple[str, dict[str, Any]]]]:
    return list(enumerate(MODULES[name], start=1))


def _draw(stream: np.random.PCG64, tensor: Tensor) -> FloatArray:
    """Draw a matrix that keeps its input's size, a gain around what is neutral, or a bias.

    From the stream's raw numbers, which numpy promises never to change.
    """
    raw = stream.random_raw(math.prod(tensor.shape)).astype(np.float64) / 2.0**64  # 0 to 1
    values = (raw.reshape(tensor.shape) - 0.5) * math.sqrt(12)  # of deviation 1
    if len(tensor.shape) > 1:
        return (values / math.sqrt(tensor.shape[-1])).astype(np.float32)
    neutral = 0.0 if tensor.plus or tensor.name.endswith(".bias") else 1.0
    return (neutral + _DEVIATION * values).astype(np.float32)


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
