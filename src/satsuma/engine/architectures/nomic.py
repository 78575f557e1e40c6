"""Nomic's BERT: turned positions in the place of a table of them, gates, and no biases but norms'.

nomic-embed-text v1 and v1.5, CodeRankEmbed. Norms come after each half of a layer, as in BERT;
queries, keys and values are one tensor.

Source: Nussbaum et al. 2024, https://arxiv.org/abs/2402.01613; the names are those of the published
checkpoints, which https://huggingface.co/docs/transformers/model_doc/nomic_bert reads too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from satsuma.engine.architectures.blueprint import Blueprint
from satsuma.engine.architectures.numbers import (
    epsilon,
    positive,
    read_theta,
    require,
    require_multiple,
)
from satsuma.engine.architectures.steps import (
    Attend,
    Embed,
    Gate,
    LayerNorm,
    Product,
    Rotate,
    Step,
)
from satsuma.engine.architectures.tensors import Linear, Tensor, TokenType

MODEL_TYPES = ("nomic_bert",)
_WORDS = "embeddings.word_embeddings.weight"
_DEFAULT_EPSILON = 1e-12

# What configs spell in the words of GPT-2, and newer ones in BERT's; published ones have both.
_OLDER_NAMES = {
    "hidden_size": "n_embd",
    "num_hidden_layers": "n_layer",
    "num_attention_heads": "n_head",
    "intermediate_size": "n_inner",
    "max_position_embeddings": "max_trained_positions",
    "layer_norm_eps": "layer_norm_epsilon",
}
# What older configs may ask for otherwise, and newer ones cannot; without a word it is otherwise.
_NEEDED = {
    "activation_function": "swiglu",
    "mlp_fc1_bias": False,
    "mlp_fc2_bias": False,
    "qkv_proj_bias": False,
    "rotary_emb_fraction": 1.0,
}
_OFF = ("causal", "parallel_block", "prenorm", "rotary_emb_interleaved", "use_rms_norm")
_ABSENT = ("rotary_emb_scale_base", "rotary_scaling_factor", "num_experts")


@dataclass(frozen=True, slots=True)
class NomicConfig:
    """The numbers that shape a Nomic BERT.

    Attributes:
        hidden_size: H, width of a hidden state.
        intermediate_size: F, width of the feed-forward layer.
        max_tokens: as many as it was trained with; beyond, its angles would have to be stretched.
        theta: base of the rotary angles.
    """

    hidden_size: int
    num_layers: int
    num_heads: int
    intermediate_size: int
    vocab_size: int
    token_types: int
    max_tokens: int
    theta: float
    norm_eps: float

    @property
    def gives_scores(self) -> bool:
        """Not a classifier."""
        return False

    def blueprint(self, names: Collection[str]) -> Blueprint:
        """List the steps; see `EncoderConfig`."""
        hidden = self.hidden_size
        widths = {"states": hidden, "sum": hidden, "qkv": 3 * hidden, "attended": hidden}
        gated = {"gated": 2 * self.intermediate_size}
        prefix = "bert." if f"bert.{_WORDS}" in names else ""
        steps = tuple(_steps(self, prefix))
        return Blueprint(steps, {**widths, **gated}, self.vocab_size, self.max_tokens)


def parse(config: Mapping[str, Any]) -> NomicConfig:
    """Read config.json's numbers.

    Raises:
        UnsupportedModelError: if something in it is not supported, or a number is missing; the
            message says which.
    """
    numbers = _in_newer_words(config)
    _check(config)
    parsed = NomicConfig(
        hidden_size=positive(numbers, "hidden_size"),
        num_layers=positive(numbers, "num_hidden_layers"),
        num_heads=positive(numbers, "num_attention_heads"),
        intermediate_size=positive(numbers, "intermediate_size"),
        vocab_size=positive(numbers, "vocab_size"),
        token_types=positive(numbers, "type_vocab_size", 2),
        max_tokens=positive(numbers, "max_position_embeddings"),
        theta=read_theta(numbers, "rotary_emb_base", 1000.0),
        norm_eps=epsilon(numbers, "layer_norm_eps", _DEFAULT_EPSILON),
    )
    require_multiple(numbers, "hidden_size", "num_attention_heads")
    return parsed


def _in_newer_words(config: Mapping[str, Any]) -> dict[str, Any]:
    older = {new: config[old] for new, old in _OLDER_NAMES.items() if old in config}
    return {**older, **config}


def _check(config: Mapping[str, Any]) -> None:
    is_newer = "hidden_size" in config
    require("hidden_act", config.get("hidden_act", "silu"), ("silu",))
    for key, value in _NEEDED.items():
        require(key, config.get(key, value if is_newer else None), (value,))
    for key in _OFF:
        require(key, config.get(key, False), (False,))
    for key in _ABSENT:
        require(key, config.get(key), (None,))


def _steps(config: NomicConfig, prefix: str) -> Iterator[Step]:
    hidden, wide = config.hidden_size, config.intermediate_size
    words = Tensor(f"{prefix}{_WORDS}", (config.vocab_size, hidden))
    types = f"{prefix}embeddings.token_type_embeddings.weight"
    all_alike = TokenType(Tensor(types, (config.token_types, hidden)), config.max_tokens)
    yield Embed(words, "sum", all_alike)  # (T, H)
    yield _norm(f"{prefix}emb_ln", config)
    for index in range(config.num_layers):
        layer = f"{prefix}encoder.layers.{index}."
        yield from _attention(layer + "attn.", config)  # (T, H)
        yield _norm(layer + "norm1", config)
        gate, up = (
            Linear.unbiased(f"{layer}mlp.{name}", wide, hidden) for name in ("fc12", "fc11")
        )
        yield Product((gate, up), "states", "gated")  # (T, H) -> (T, 2F)
        yield Gate(wide, "silu", "gated")  # -> (T, F), at the rows' left
        down = Linear.unbiased(layer + "mlp.fc2", hidden, wide)
        yield Product((down,), "gated", "sum", residual="states")  # (T, H)
        yield _norm(layer + "norm2", config)


def _attention(prefix: str, config: NomicConfig) -> Iterator[Step]:
    hidden, heads = config.hidden_size, config.num_heads
    width = hidden // heads
    query, others = Linear.joined(prefix + "Wqkv", hidden, times=width**-0.5)  # attention's divisor
    yield Product((query, others), "states", "qkv")  # (T, H) -> (T, 3H)
    yield Rotate(2 * heads, width, config.theta, config.max_tokens, "qkv")
    yield Attend(heads, heads, width, "qkv", "attended")  # -> (T, H)
    output = Linear.unbiased(prefix + "out_proj", hidden, hidden)
    yield Product((output,), "attended", "sum", residual="states")


def _norm(name: str, config: NomicConfig) -> LayerNorm:
    gain, bias = (Tensor(f"{name}.{part}", (config.hidden_size,)) for part in ("weight", "bias"))
    return LayerNorm(gain, bias, config.norm_eps, "sum", "states")
