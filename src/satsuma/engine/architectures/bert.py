"""BERT: learned positions, a LayerNorm after each half of a layer, biases everywhere.

bge-small, base and large, MiniLM, e5, gte, arctic-embed, mxbai. `xlm_roberta.py` builds on it.

Source: Devlin et al. 2018, https://arxiv.org/abs/1810.04805; the names are those of
https://huggingface.co/docs/transformers/model_doc/bert
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from satsuma.engine.architectures.blueprint import Blueprint
from satsuma.engine.architectures.numbers import epsilon, positive, require, require_multiple
from satsuma.engine.architectures.steps import Attend, Embed, LayerNorm, Product, Step
from satsuma.engine.architectures.tensors import Linear, Norm, Positions, Tensor

MODEL_TYPES = ("bert",)
ACTIVATIONS = ("gelu", "gelu_new", "gelu_pytorch_tanh", "relu")
_DEFAULT_EPSILON = 1e-12


@dataclass(frozen=True, slots=True)
class BertConfig:
    """The numbers that shape a BERT.

    Attributes:
        hidden_size: H, width of a hidden state.
        intermediate_size: F, width of the feed-forward layer.
        layer_norm_eps: the epsilon of every LayerNorm.
        max_positions: rows of the position table.
        first_position: row of a text's first token.
        prefixes: what may come before the tensors' names in a checkpoint.
    """

    hidden_size: int
    num_layers: int
    num_heads: int
    intermediate_size: int
    vocab_size: int
    max_positions: int
    token_types: int
    activation: str
    layer_norm_eps: float
    first_position: int = 0
    prefixes: tuple[str, ...] = ("bert.",)

    @property
    def max_tokens(self) -> int:
        """Longest item."""
        return self.max_positions - self.first_position

    @property
    def gives_scores(self) -> bool:
        """Not a classifier."""
        return False

    def roles(self, names: Collection[str]) -> BertRoles:
        """Name the tensors as this checkpoint does."""
        return _find_roles(self, names)

    def blueprint(self, names: Collection[str]) -> Blueprint:
        """List the steps; see `EncoderConfig`."""
        hidden, wide = self.hidden_size, self.intermediate_size
        widths = {"states": hidden, "sum": hidden, "qkv": 3 * hidden, "attended": hidden}
        steps = tuple(_steps(self, self.roles(names)))
        return Blueprint(steps, {**widths, "wide": wide}, self.vocab_size, self.max_tokens)


@dataclass(frozen=True, slots=True)
class LayerRoles:
    """One transformer layer, in the order in which it computes."""

    query: Linear  # (H, H)
    key: Linear  # (H, H)
    value: Linear  # (H, H)
    attention_output: Linear  # (H, H)
    attention_norm: Norm
    up: Linear  # (F, H)
    down: Linear  # (H, F)
    output_norm: Norm


@dataclass(frozen=True, slots=True)
class BertRoles:
    """Every tensor that a BERT needs."""

    words: Tensor  # (V, H)
    positions: Positions  # (P, H), and two types of tokens (2, H)
    embedding_norm: Norm
    layers: tuple[LayerRoles, ...]


def parse(config: Mapping[str, Any]) -> BertConfig:
    """Read config.json's numbers.

    Raises:
        UnsupportedModelError: if the activation or position scheme is not supported, or a number
            is missing; the message says which, and what is.
    """
    require("hidden_act", config.get("hidden_act"), ACTIVATIONS)
    require("position_embedding_type", config.get("position_embedding_type"), ("absolute", None))
    require("is_decoder", config.get("is_decoder", False), (False,))
    parsed = BertConfig(
        hidden_size=positive(config, "hidden_size"),
        num_layers=positive(config, "num_hidden_layers"),
        num_heads=positive(config, "num_attention_heads"),
        intermediate_size=positive(config, "intermediate_size"),
        vocab_size=positive(config, "vocab_size"),
        max_positions=positive(config, "max_position_embeddings"),
        token_types=positive(config, "type_vocab_size", 2),
        activation=str(config["hidden_act"]),
        layer_norm_eps=epsilon(config, "layer_norm_eps", _DEFAULT_EPSILON),
    )
    require_multiple(config, "hidden_size", "num_attention_heads")
    return parsed


def _steps(config: BertConfig, roles: BertRoles) -> Iterator[Step]:
    yield Embed(roles.words, "sum", roles.positions)  # (T, H)
    yield _norm_step(config, roles.embedding_norm)
    for layer in roles.layers:
        yield from _layer_steps(config, layer)  # (T, H)


def _layer_steps(config: BertConfig, roles: LayerRoles) -> Iterator[Step]:
    heads, width = config.num_heads, config.hidden_size // config.num_heads
    query = roles.query.scaled(width**-0.5)  # what attention's scores are divided by
    yield Product((query, roles.key, roles.value), "states", "qkv")  # (T, H) -> (T, 3H)
    yield Attend(heads, heads, width, "qkv", "attended")  # (T, 3H) -> (T, H)
    yield Product((roles.attention_output,), "attended", "sum", residual="states")
    yield _norm_step(config, roles.attention_norm)  # (T, H)
    yield Product((roles.up,), "states", "wide", config.activation)  # -> (T, F)
    yield Product((roles.down,), "wide", "sum", residual="states")  # -> (T, H)
    yield _norm_step(config, roles.output_norm)  # (T, H)


def _norm_step(config: BertConfig, norm: Norm) -> LayerNorm:
    return LayerNorm(norm.gain, norm.bias, config.layer_norm_eps, "sum", "states")


def _find_roles(config: BertConfig, names: Collection[str]) -> BertRoles:
    hidden = config.hidden_size
    prefix = next((p for p in config.prefixes if f"{p}{_WORDS}" in names), "")
    table = Tensor(f"{prefix}embeddings.position_embeddings.weight", (config.max_positions, hidden))
    types = Tensor(f"{prefix}embeddings.token_type_embeddings.weight", (config.token_types, hidden))
    layers = (f"{prefix}encoder.layer.{index}." for index in range(config.num_layers))
    return BertRoles(
        words=Tensor(f"{prefix}{_WORDS}", (config.vocab_size, hidden)),
        positions=Positions(table, config.first_position, types),
        embedding_norm=_norm(f"{prefix}embeddings.LayerNorm", hidden, names),
        layers=tuple(_layer(config, layer, names) for layer in layers),
    )


_WORDS = "embeddings.word_embeddings.weight"


def _layer(config: BertConfig, prefix: str, names: Collection[str]) -> LayerRoles:
    hidden, wide = config.hidden_size, config.intermediate_size
    return LayerRoles(
        query=Linear.named(prefix + "attention.self.query", hidden, hidden),
        key=Linear.named(prefix + "attention.self.key", hidden, hidden),
        value=Linear.named(prefix + "attention.self.value", hidden, hidden),
        attention_output=Linear.named(prefix + "attention.output.dense", hidden, hidden),
        attention_norm=_norm(prefix + "attention.output.LayerNorm", hidden, names),
        up=Linear.named(prefix + "intermediate.dense", wide, hidden),
        down=Linear.named(prefix + "output.dense", hidden, wide),
        output_norm=_norm(prefix + "output.LayerNorm", hidden, names),
    )


def _norm(name: str, hidden: int, names: Collection[str]) -> Norm:
    if name + ".gamma" in names:  # the names of checkpoints converted from TensorFlow
        return Norm(Tensor(name + ".gamma", (hidden,)), Tensor(name + ".beta", (hidden,)))
    return Norm(Tensor(name + ".weight", (hidden,)), Tensor(name + ".bias", (hidden,)))
