"""ModernBERT: an encoder with rotary positions, windows in two layers of three, and gates.

gte-modernbert, modernbert-embed, ruri-v3. Norms come before each half of a layer, and mostly
nothing has a bias; queries, keys and values are one tensor, and so are a gate and what it gates.

Source: Warner et al. 2024, https://arxiv.org/abs/2412.13663; the names are those of
https://huggingface.co/docs/transformers/model_doc/modernbert
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from satsuma.engine.architectures.blueprint import Blueprint, gated_widths
from satsuma.engine.architectures.numbers import (
    FULL,
    SLIDING,
    epsilon,
    positive,
    read_theta,
    read_windows,
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
from satsuma.engine.architectures.tensors import Linear, Tensor

MODEL_TYPES = ("modernbert",)
_ACTIVATIONS = ("gelu", "gelu_pytorch_tanh", "silu")
_USUAL_EVERY = 3  # every third layer sees everything
_USUAL_WINDOW = 128
_DEFAULT_EPSILON = 1e-5


@dataclass(frozen=True, slots=True)
class ModernBertConfig:
    """The numbers that shape a ModernBERT.

    Attributes:
        hidden_size: H, width of a hidden state.
        intermediate_size: F, width of the feed-forward layer.
        window: a token sees those nearer than this, in the layers that have a window.
        has_window: of each layer.
        theta: base of the rotary angles in layers that see everything.
        window_theta: the same in layers that have a window.
    """

    hidden_size: int
    num_heads: int
    intermediate_size: int
    vocab_size: int
    max_tokens: int
    activation: str
    window: int
    has_window: tuple[bool, ...]
    theta: float
    window_theta: float
    norm_eps: float

    @property
    def gives_scores(self) -> bool:
        """Not a classifier."""
        return False

    def blueprint(self, names: Collection[str]) -> Blueprint:
        """List the steps; see `EncoderConfig`."""
        hidden = self.hidden_size
        widths = gated_widths(hidden, 3 * hidden, hidden, self.intermediate_size)
        prefix = "model." if "model.embeddings.tok_embeddings.weight" in names else ""
        return Blueprint(tuple(_steps(self, prefix)), widths, self.vocab_size, self.max_tokens)


def parse(config: Mapping[str, Any]) -> ModernBertConfig:
    """Read config.json's numbers.

    Raises:
        UnsupportedModelError: if something in it is not supported, or a number is missing; the
            message says which.
    """
    require("hidden_activation", config.get("hidden_activation"), _ACTIVATIONS)
    for key in ("attention_bias", "mlp_bias", "norm_bias"):
        require(key, config.get(key, False), (False,))
    parsed = ModernBertConfig(
        hidden_size=positive(config, "hidden_size"),
        num_heads=positive(config, "num_attention_heads"),
        intermediate_size=positive(config, "intermediate_size"),
        vocab_size=positive(config, "vocab_size"),
        max_tokens=positive(config, "max_position_embeddings"),
        activation=str(config["hidden_activation"]),
        window=positive(config, "local_attention", _USUAL_WINDOW) // 2 + 1,  # of both sides
        has_window=_read_layers(config),
        theta=read_theta(config, "global_rope_theta", 160_000.0, FULL),
        window_theta=read_theta(config, "local_rope_theta", 10_000.0, SLIDING),
        norm_eps=epsilon(config, "norm_eps", _DEFAULT_EPSILON),
    )
    require_multiple(config, "hidden_size", "num_attention_heads")
    return parsed


def _read_layers(config: Mapping[str, Any]) -> tuple[bool, ...]:
    every = positive(config, "global_attn_every_n_layers", _USUAL_EVERY)
    count = positive(config, "num_hidden_layers")
    return read_windows(config, [index % every != 0 for index in range(count)])


def _steps(config: ModernBertConfig, prefix: str) -> Iterator[Step]:
    hidden, wide = config.hidden_size, config.intermediate_size
    words = Tensor(f"{prefix}embeddings.tok_embeddings.weight", (config.vocab_size, hidden))
    yield Embed(words, "sum")
    yield _norm(f"{prefix}embeddings.norm", config, "sum", "states")
    for index, has_window in enumerate(config.has_window):
        layer = f"{prefix}layers.{index}."
        if index > 0:  # the first layer's words have just been normed
            yield _norm(layer + "attn_norm", config, "states", "normed")
        source = "normed" if index > 0 else "states"
        yield from _attention(layer + "attn.", config, source, has_window=has_window)
        yield _norm(layer + "mlp_norm", config, "sum", "normed")
        yield Product((Linear.unbiased(layer + "mlp.Wi", 2 * wide, hidden),), "normed", "gated")
        yield Gate(wide, config.activation, "gated")  # (T, 2F) -> (T, F), at the rows' left
        down = Linear.unbiased(layer + "mlp.Wo", hidden, wide)
        yield Product((down,), "gated", "states", residual="sum")  # (T, H)
    yield _norm(f"{prefix}final_norm", config, "states", "normed")


def _attention(
    prefix: str, config: ModernBertConfig, source: str, *, has_window: bool
) -> Iterator[Step]:
    hidden, heads = config.hidden_size, config.num_heads
    width = hidden // heads
    query, others = Linear.joined(prefix + "Wqkv", hidden, times=width**-0.5)  # attention's divisor
    theta, window = (config.window_theta, config.window) if has_window else (config.theta, 0)
    yield Product((query, others), source, "qkv")  # (T, H) -> (T, 3H)
    yield Rotate(2 * heads, width, theta, config.max_tokens, "qkv")
    yield Attend(heads, heads, width, "qkv", "attended", window=window)  # -> (T, H)
    output = Linear.unbiased(prefix + "Wo", hidden, hidden)
    yield Product((output,), "attended", "sum", residual="states")


def _norm(name: str, config: ModernBertConfig, source: str, output: str) -> LayerNorm:
    gain = Tensor(f"{name}.weight", (config.hidden_size,))
    return LayerNorm(gain, None, config.norm_eps, source, output)
