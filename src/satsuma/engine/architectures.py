"""config.json and tensor names -> which tensors play which role in an encoder.

Knows the families of checkpoints that are supported (BERT) and says precisely what is not.
It reads headers and small JSON files, never the weights themselves.

Source: the BertModel of Hugging Face transformers, whose names the checkpoints carry:
https://huggingface.co/docs/transformers/model_doc/bert
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from satsuma.errors import UnsupportedModelError
from satsuma.types import FloatArray

SUPPORTED_MODEL_TYPES = ("bert",)
SUPPORTED_ACTIVATIONS = ("gelu", "relu")
_SUPPORTED_DTYPES = ("F32", "F16", "BF16")
_DEFAULT_EPSILON = 1e-12


@dataclass(frozen=True, slots=True)
class EncoderConfig:
    """The numbers that shape an encoder.

    Attributes:
        hidden_size: H, width of a hidden state.
        intermediate_size: F, width of the feed-forward layer.
        layer_norm_eps: the epsilon of every LayerNorm.
        max_positions: rows of the position table.
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


@dataclass(frozen=True, slots=True)
class Linear:
    """Names of a linear layer's tensors: weight (out, in) and bias (out,)."""

    weight: str
    bias: str


@dataclass(frozen=True, slots=True)
class Norm:
    """Names of a LayerNorm's tensors: gain (H,) and bias (H,)."""

    gain: str
    bias: str


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
class EncoderRoles:
    """Every tensor that an encoder needs, by name."""

    word_embeddings: str  # (V, H)
    position_embeddings: str  # (P, H)
    token_type_embeddings: str  # (2, H); a text is all of type 0
    embedding_norm: Norm
    layers: tuple[LayerRoles, ...]


# Tensor name -> float32 array, as Hugging Face stores it.
ReadTensor = Callable[[str], FloatArray]


@dataclass(frozen=True, slots=True)
class TensorHeader:
    """What a safetensors header says of a tensor."""

    dtype: str
    shape: tuple[int, ...]


def parse_config(config: Mapping[str, Any]) -> EncoderConfig:
    """Read config.json's numbers.

    Raises:
        UnsupportedModelError: if the architecture, activation or position scheme is not
            supported, or a number is missing; the message says which, and what is.
    """
    _require("model_type", config.get("model_type"), SUPPORTED_MODEL_TYPES)
    _require("hidden_act", config.get("hidden_act"), SUPPORTED_ACTIVATIONS)
    _require("position_embedding_type", config.get("position_embedding_type"), ("absolute", None))
    parsed = EncoderConfig(
        hidden_size=_positive(config, "hidden_size"),
        num_layers=_positive(config, "num_hidden_layers"),
        num_heads=_positive(config, "num_attention_heads"),
        intermediate_size=_positive(config, "intermediate_size"),
        vocab_size=_positive(config, "vocab_size"),
        max_positions=_positive(config, "max_position_embeddings"),
        token_types=_positive({"type_vocab_size": 2, **config}, "type_vocab_size"),
        activation=str(config["hidden_act"]),
        layer_norm_eps=_epsilon(config.get("layer_norm_eps", _DEFAULT_EPSILON)),
    )
    if parsed.hidden_size % parsed.num_heads:
        raise UnsupportedModelError(
            f"num_attention_heads {parsed.num_heads} does not divide "
            f"hidden_size {parsed.hidden_size}."
        )
    return parsed


def _positive(config: Mapping[str, Any], key: str) -> int:
    value = config.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise UnsupportedModelError(f"config.json has {key} {value!r}; a whole number is needed.")
    return value


def _epsilon(value: object) -> float:
    if not isinstance(value, float) or not 0 < value < 1:
        raise UnsupportedModelError(f"config.json has layer_norm_eps {value!r}; 1e-12 is usual.")
    return value


def _require(key: str, value: object, supported: tuple[object, ...]) -> None:
    if value not in supported:
        names = ", ".join(str(name) for name in supported if name is not None)
        raise UnsupportedModelError(f"{key} {value!r} is not supported; supported: {names}.")


def find_roles(config: EncoderConfig, headers: Mapping[str, TensorHeader]) -> EncoderRoles:
    """Find each role's tensor and check that its shape and dtype are right.

    Args:
        config: the encoder's numbers.
        headers: the checkpoint's tensors by name.

    Raises:
        UnsupportedModelError: naming the tensor that is missing or has another shape or dtype.
    """
    prefix = "bert." if "bert.embeddings.word_embeddings.weight" in headers else ""
    roles = EncoderRoles(
        word_embeddings=f"{prefix}embeddings.word_embeddings.weight",
        position_embeddings=f"{prefix}embeddings.position_embeddings.weight",
        token_type_embeddings=f"{prefix}embeddings.token_type_embeddings.weight",
        embedding_norm=_norm(f"{prefix}embeddings.LayerNorm", headers),
        layers=tuple(
            _layer(f"{prefix}encoder.layer.{index}.", headers) for index in range(config.num_layers)
        ),
    )
    for name, shape in _expected_shapes(config, roles).items():
        _check_tensor(name, shape, headers)
    return roles


def _layer(prefix: str, headers: Mapping[str, TensorHeader]) -> LayerRoles:
    return LayerRoles(
        query=_linear(prefix + "attention.self.query"),
        key=_linear(prefix + "attention.self.key"),
        value=_linear(prefix + "attention.self.value"),
        attention_output=_linear(prefix + "attention.output.dense"),
        attention_norm=_norm(prefix + "attention.output.LayerNorm", headers),
        up=_linear(prefix + "intermediate.dense"),
        down=_linear(prefix + "output.dense"),
        output_norm=_norm(prefix + "output.LayerNorm", headers),
    )


def _linear(name: str) -> Linear:
    return Linear(weight=name + ".weight", bias=name + ".bias")


def _norm(name: str, headers: Mapping[str, TensorHeader]) -> Norm:
    if name + ".gamma" in headers:  # the names of checkpoints converted from TensorFlow
        return Norm(gain=name + ".gamma", bias=name + ".beta")
    return Norm(gain=name + ".weight", bias=name + ".bias")


def _expected_shapes(config: EncoderConfig, roles: EncoderRoles) -> dict[str, tuple[int, ...]]:
    hidden, wide = config.hidden_size, config.intermediate_size
    shapes: dict[str, tuple[int, ...]] = {
        roles.word_embeddings: (config.vocab_size, hidden),
        roles.position_embeddings: (config.max_positions, hidden),
        roles.token_type_embeddings: (config.token_types, hidden),
        roles.embedding_norm.gain: (hidden,),
        roles.embedding_norm.bias: (hidden,),
    }
    for layer in roles.layers:
        for linear in (layer.query, layer.key, layer.value, layer.attention_output):
            shapes |= {linear.weight: (hidden, hidden), linear.bias: (hidden,)}
        shapes |= {layer.up.weight: (wide, hidden), layer.up.bias: (wide,)}
        shapes |= {layer.down.weight: (hidden, wide), layer.down.bias: (hidden,)}
        for norm in (layer.attention_norm, layer.output_norm):
            shapes |= {norm.gain: (hidden,), norm.bias: (hidden,)}
    return shapes


def _check_tensor(name: str, shape: tuple[int, ...], headers: Mapping[str, TensorHeader]) -> None:
    header = headers.get(name)
    if header is None:
        raise UnsupportedModelError(f"The weights have no tensor {name}, which a BERT needs.")
    if header.shape != shape:
        raise UnsupportedModelError(
            f"Tensor {name} has shape {header.shape}; config.json asks for {shape}."
        )
    if header.dtype not in _SUPPORTED_DTYPES:
        raise UnsupportedModelError(
            f"Tensor {name} is of dtype {header.dtype}; supported: {', '.join(_SUPPORTED_DTYPES)}."
        )
