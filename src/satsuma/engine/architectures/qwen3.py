"""Qwen3: a decoder with rotary positions, grouped queries and a gated feed-forward layer.

qwen3-embedding. Its norms are root mean squares, each head's queries and keys have one of their
own, and nothing has a bias.

Source: Yang et al. 2025, https://arxiv.org/abs/2505.09388; the names are those of
https://huggingface.co/docs/transformers/model_doc/qwen3
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from satsuma.engine.architectures.blueprint import Blueprint, gated_widths
from satsuma.engine.architectures.numbers import (
    epsilon,
    positive,
    read_theta,
    require,
    require_multiple,
)
from satsuma.engine.architectures.steps import Attend, Embed, Gate, Product, RmsNorm, Rotate, Step
from satsuma.engine.architectures.tensors import Linear, Tensor

MODEL_TYPES = ("qwen3",)
_DEFAULT_THETA = 1e4
_DEFAULT_EPSILON = 1e-6


@dataclass(frozen=True, slots=True)
class Qwen3Config:
    """The numbers that shape a Qwen3.

    Attributes:
        hidden_size: H, width of a hidden state.
        num_kv_heads: heads of the keys and of the values.
        head_width: D; the heads together may be wider than H.
        intermediate_size: F, width of the feed-forward layer.
        theta: base of the rotary angles.
    """

    hidden_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_width: int
    intermediate_size: int
    vocab_size: int
    max_tokens: int
    theta: float
    norm_eps: float

    @property
    def gives_scores(self) -> bool:
        """Not a classifier."""
        return False

    def blueprint(self, names: Collection[str]) -> Blueprint:
        """List the steps; see `EncoderConfig`."""
        heads = self.num_heads * self.head_width
        qkv = heads + 2 * self.num_kv_heads * self.head_width
        widths = gated_widths(self.hidden_size, qkv, heads, self.intermediate_size)
        prefix = "model." if "model.embed_tokens.weight" in names else ""
        return Blueprint(tuple(_steps(self, prefix)), widths, self.vocab_size, self.max_tokens)


def parse(config: Mapping[str, Any]) -> Qwen3Config:
    """Read config.json's numbers.

    Raises:
        UnsupportedModelError: if something in it is not supported, or a number is missing; the
            message says which.
    """
    require("hidden_act", config.get("hidden_act"), ("silu",))
    require("attention_bias", config.get("attention_bias", False), (False,))
    require("use_sliding_window", config.get("use_sliding_window", False), (False,))
    require("is_causal", config.get("is_causal", True), (True,))
    require_multiple(config, "num_attention_heads", "num_key_value_heads")
    heads, hidden = positive(config, "num_attention_heads"), positive(config, "hidden_size")
    return Qwen3Config(
        hidden_size=hidden,
        num_layers=positive(config, "num_hidden_layers"),
        num_heads=heads,
        num_kv_heads=positive(config, "num_key_value_heads"),
        head_width=positive(config, "head_dim", hidden // heads),
        intermediate_size=positive(config, "intermediate_size"),
        vocab_size=positive(config, "vocab_size"),
        max_tokens=positive(config, "max_position_embeddings"),
        theta=read_theta(config, "rope_theta", _DEFAULT_THETA),
        norm_eps=epsilon(config, "rms_norm_eps", _DEFAULT_EPSILON),
    )


def _steps(config: Qwen3Config, prefix: str) -> Iterator[Step]:
    hidden, eps = config.hidden_size, config.norm_eps
    yield Embed(Tensor(f"{prefix}embed_tokens.weight", (config.vocab_size, hidden)), "states")
    for index in range(config.num_layers):
        layer = f"{prefix}layers.{index}."
        yield _norm(layer + "input_layernorm", config, "states")  # (T, H)
        yield from _attention(layer + "self_attn.", config)  # (T, H) -> (T, heads * D)
        output = Linear.unbiased(
            layer + "self_attn.o_proj", hidden, config.num_heads * config.head_width
        )
        yield Product((output,), "attended", "sum", residual="states")  # (T, H)
        yield _norm(layer + "post_attention_layernorm", config, "sum")
        yield from _feed_forward(layer + "mlp.", config)  # (T, H) -> (T, F)
        down = Linear.unbiased(layer + "mlp.down_proj", hidden, config.intermediate_size)
        yield Product((down,), "gated", "states", residual="sum")  # (T, H)
    yield RmsNorm((Tensor(f"{prefix}norm.weight", (hidden,)),), eps, "states", "normed")


def _attention(prefix: str, config: Qwen3Config) -> Iterator[Step]:
    heads, kv_heads, width = config.num_heads, config.num_kv_heads, config.head_width
    query = Linear.unbiased(prefix + "q_proj", heads * width, config.hidden_size)
    key = Linear.unbiased(prefix + "k_proj", kv_heads * width, config.hidden_size)
    value = Linear.unbiased(prefix + "v_proj", kv_heads * width, config.hidden_size)
    # The queries' gain also brings what attention's scores are divided by.
    query_gain = Tensor(prefix + "q_norm.weight", (width,), times=width**-0.5)
    gains = (query_gain,) * heads + (Tensor(prefix + "k_norm.weight", (width,)),) * kv_heads
    yield Product((query, key, value), "normed", "qkv")
    yield RmsNorm(gains, config.norm_eps, "qkv", "qkv")
    yield Rotate(heads + kv_heads, width, config.theta, config.max_tokens, "qkv")
    yield Attend(heads, kv_heads, width, "qkv", "attended", is_causal=True)


def _feed_forward(prefix: str, config: Qwen3Config) -> Iterator[Step]:
    hidden, wide = config.hidden_size, config.intermediate_size
    gate, up = (Linear.unbiased(f"{prefix}{part}_proj", wide, hidden) for part in ("gate", "up"))
    yield Product((gate, up), "normed", "gated")  # (T, H) -> (T, 2F)
    yield Gate(wide, "silu", "gated")  # -> (T, F), at the rows' left


def _norm(name: str, config: Qwen3Config, source: str) -> RmsNorm:
    gain = Tensor(f"{name}.weight", (config.hidden_size,))
    return RmsNorm((gain,), config.norm_eps, source, "normed")
