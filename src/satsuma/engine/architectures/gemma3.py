"""Gemma 3's text model as an encoder: most layers see a window, every sixth sees everything.

embeddinggemma. Four norms a layer, each with a gain of 1 + w; words come scaled by the root of H;
rotary angles of one base in the windows and of another elsewhere.

Source: Gemma Team 2025, https://arxiv.org/abs/2503.19786; Vera et al. 2025,
https://arxiv.org/abs/2509.20354; the names are those of
https://huggingface.co/docs/transformers/model_doc/gemma3
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
from satsuma.engine.architectures.steps import Attend, Embed, Gate, Product, RmsNorm, Rotate, Step
from satsuma.engine.architectures.tensors import Linear, Tensor

MODEL_TYPES = ("gemma3_text",)
_DEFAULT_EPSILON = 1e-6
_USUAL_EVERY = 6  # every sixth layer sees everything


@dataclass(frozen=True, slots=True)
class Gemma3Config:
    """The numbers that shape a Gemma 3.

    Attributes:
        hidden_size: H, width of a hidden state.
        num_kv_heads: heads of the keys and of the values.
        head_width: D; the heads together may be wider than H.
        intermediate_size: F, width of the feed-forward layer.
        query_scalar: attention's scores are divided by its root.
        window: a token sees those nearer than this, in the layers that have a window.
        has_window: of each layer.
        is_causal: a token sees nothing behind it.
        theta: base of the rotary angles in layers that see everything.
        window_theta: the same in layers that have a window.
    """

    hidden_size: int
    num_heads: int
    num_kv_heads: int
    head_width: int
    intermediate_size: int
    vocab_size: int
    max_tokens: int
    query_scalar: int
    window: int
    has_window: tuple[bool, ...]
    is_causal: bool
    theta: float
    window_theta: float
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


def parse(config: Mapping[str, Any]) -> Gemma3Config:
    """Read config.json's numbers.

    Raises:
        UnsupportedModelError: if something in it is not supported, or a number is missing; the
            message says which.
    """
    require("hidden_activation", config.get("hidden_activation"), ("gelu_pytorch_tanh",))
    require("attention_bias", config.get("attention_bias", False), (False,))
    require("attn_logit_softcapping", config.get("attn_logit_softcapping"), (None,))
    require_multiple(config, "num_attention_heads", "num_key_value_heads")
    is_causal = not config.get("use_bidirectional_attention", False)
    window = positive(config, "sliding_window")
    return Gemma3Config(
        hidden_size=positive(config, "hidden_size"),
        num_heads=positive(config, "num_attention_heads"),
        num_kv_heads=positive(config, "num_key_value_heads"),
        head_width=positive(config, "head_dim"),
        intermediate_size=positive(config, "intermediate_size"),
        vocab_size=positive(config, "vocab_size"),
        max_tokens=positive(config, "max_position_embeddings"),
        query_scalar=positive(config, "query_pre_attn_scalar"),
        # Looking both ways, the published window is that of both sides together.
        window=window if is_causal else window // 2 + 1,
        has_window=_read_layers(config),
        is_causal=is_causal,
        theta=read_theta(config, "rope_theta", 1e6, FULL),
        window_theta=read_theta(config, "rope_local_base_freq", 1e4, SLIDING),
        norm_eps=epsilon(config, "rms_norm_eps", _DEFAULT_EPSILON),
    )


def _read_layers(config: Mapping[str, Any]) -> tuple[bool, ...]:
    count = positive(config, "num_hidden_layers")
    pattern = config.get("sliding_window_pattern", config.get("_sliding_window_pattern"))
    every = positive({"sliding_window_pattern": pattern or _USUAL_EVERY}, "sliding_window_pattern")
    return read_windows(config, [(index + 1) % every != 0 for index in range(count)])


def _steps(config: Gemma3Config, prefix: str) -> Iterator[Step]:
    hidden = config.hidden_size
    shape, scale = (config.vocab_size, hidden), hidden**0.5
    yield Embed(Tensor(f"{prefix}embed_tokens.weight", shape, times=scale), "states")
    for index, has_window in enumerate(config.has_window):
        layer = f"{prefix}layers.{index}."
        yield _norm(layer + "input_layernorm", config, "states", "normed")  # (T, H)
        yield from _attention(layer + "self_attn.", config, has_window=has_window)  # -> (T, H)
        yield _norm(layer + "post_attention_layernorm", config, "normed", "sum", "states")
        yield _norm(layer + "pre_feedforward_layernorm", config, "sum", "normed")
        yield from _feed_forward(layer + "mlp.", config)  # (T, H) -> (T, H)
        yield _norm(layer + "post_feedforward_layernorm", config, "normed", "states", "sum")
    yield _norm(f"{prefix}norm", config, "states", "normed")


def _attention(prefix: str, config: Gemma3Config, *, has_window: bool) -> Iterator[Step]:
    heads, kv_heads, width = config.num_heads, config.num_kv_heads, config.head_width
    query = Linear.unbiased(prefix + "q_proj", heads * width, config.hidden_size)
    key = Linear.unbiased(prefix + "k_proj", kv_heads * width, config.hidden_size)
    value = Linear.unbiased(prefix + "v_proj", kv_heads * width, config.hidden_size)
    # The queries' gain also brings what attention's scores are divided by.
    query_gain = Tensor(prefix + "q_norm.weight", (width,), config.query_scalar**-0.5, plus=1.0)
    key_gain = Tensor(prefix + "k_norm.weight", (width,), plus=1.0)
    gains = (query_gain,) * heads + (key_gain,) * kv_heads
    theta, window = (config.window_theta, config.window) if has_window else (config.theta, 0)
    yield Product((query, key, value), "normed", "qkv")
    yield RmsNorm(gains, config.norm_eps, "qkv", "qkv")
    yield Rotate(heads + kv_heads, width, theta, config.max_tokens, "qkv")
    yield Attend(heads, kv_heads, width, "qkv", "attended", config.is_causal, window)
    output = Linear.unbiased(prefix + "o_proj", config.hidden_size, heads * width)
    yield Product((output,), "attended", "normed")


def _feed_forward(prefix: str, config: Gemma3Config) -> Iterator[Step]:
    hidden, wide = config.hidden_size, config.intermediate_size
    gate, up = (Linear.unbiased(f"{prefix}{part}_proj", wide, hidden) for part in ("gate", "up"))
    yield Product((gate, up), "normed", "gated")  # (T, H) -> (T, 2F)
    yield Gate(wide, "gelu_pytorch_tanh", "gated")  # -> (T, F), at the rows' left
    yield Product((Linear.unbiased(prefix + "down_proj", hidden, wide),), "gated", "normed")


def _norm(
    name: str, config: Gemma3Config, source: str, output: str, residual: str | None = None
) -> RmsNorm:
    gain = Tensor(f"{name}.weight", (config.hidden_size,), plus=1.0)
    return RmsNorm((gain,), config.norm_eps, source, output, residual)
