"""Roles -> a program: the steps of a BERT-shaped encoder, and its weights as the kernels want them.

A program is a folder: `program.json` lists the steps, `weights` holds what they point at. Nothing
of it depends on a microbatch, so it is written once and mapped at each start. T tokens, H hidden
size, F intermediate size.

Source: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762; Devlin et al. 2018,
https://arxiv.org/abs/1810.04805
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from satsuma.engine.architectures import (
    EncoderConfig,
    EncoderRoles,
    LayerRoles,
    Linear,
    Norm,
    ReadTensor,
)
from satsuma.engine.native.library import Activation, Operation
from satsuma.engine.native.packing import Layout, pack_bias, pack_panels, quantize_panels
from satsuma.errors import UnsupportedModelError
from satsuma.types import FloatArray, Precision

PROGRAM_VERSION = 4  # raise it whenever what is written changes
PROGRAM_NAME = "program.json"
WEIGHTS_NAME = "weights"

_ALIGNMENT_BYTES = 64  # a cache line
_ACTIVATIONS = {"gelu": Activation.GELU, "relu": Activation.RELU}


class Buffer(IntEnum):
    """The float buffers that steps read and write, each (T, its width)."""

    STATES = 0  # (T, H)
    SUM = 1  # (T, H), before a LayerNorm
    QKV = 2  # (T, 3H)
    ATTENDED = 3  # (T, H)
    WIDE = 4  # (T, F)
    OUTPUT = 5  # (T, H), the caller's


@dataclass(slots=True)
class Step:
    """One step; the members are those of `struct step`, with places in the file for pointers."""

    operation: int
    input: int
    output: int
    in_width: int
    out_width: int = 0
    activation: int = Activation.IDENTITY
    residual: int = -1
    num_heads: int = 0
    epsilon: float = 0.0
    weight: int = 0
    bias: int = 0
    scale: int = 0
    column_sum: int = 0


@dataclass(frozen=True, slots=True)
class Program:
    """What `program.json` says.

    Attributes:
        steps: in order.
        widths: of each buffer.
        vocab_size: ids beyond it are not to be looked up.
        max_positions: longest item.
    """

    steps: Sequence[Step]
    widths: Sequence[int]
    vocab_size: int
    max_positions: int

    @classmethod
    def read(cls, folder: Path) -> Program:
        """Read a program that `write_program` wrote."""
        content = json.loads((folder / PROGRAM_NAME).read_bytes())
        steps = [Step(**step) for step in content.pop("steps")]
        return cls(steps=steps, **content)


def write_program(
    config: EncoderConfig,
    roles: EncoderRoles,
    read: ReadTensor,
    folder: Path,
    layout: Layout,
) -> None:
    """Write a program and its weights into an empty folder.

    Args:
        config: the encoder's numbers.
        roles: which tensor plays which role.
        read: tensor name -> float32 array, as Hugging Face stores it.
        folder: gets `program.json` and `weights`.
        layout: how the weights are to lie.
    """
    with (folder / WEIGHTS_NAME).open("wb") as weights:
        program = _Writer(config, read, weights, layout).write(roles)
    (folder / PROGRAM_NAME).write_text(json.dumps(asdict(program)), encoding="utf-8")


@dataclass(slots=True)
class _Writer:
    """Collects steps and writes weights, role by role."""

    config: EncoderConfig
    read: ReadTensor
    weights: BinaryIO
    layout: Layout
    steps: list[Step] = field(default_factory=list)

    def write(self, roles: EncoderRoles) -> Program:
        hidden, intermediate = self.config.hidden_size, self.config.intermediate_size
        self._embed(roles)  # (T, H)
        for layer in roles.layers:
            self._layer(layer)  # (T, H)
        self.steps[-1].output = Buffer.OUTPUT
        return Program(
            steps=self.steps,
            widths=[hidden, hidden, 3 * hidden, hidden, intermediate, hidden],
            vocab_size=self.config.vocab_size,
            max_positions=self.config.max_positions,
        )

    def _embed(self, roles: EncoderRoles) -> None:
        """Look up words and positions; token type 0 is a constant row of each position."""
        type_row = self.read(roles.token_type_embeddings)[0]  # (H,)
        self._add(
            Operation.EMBED,
            Buffer.SUM,
            Buffer.SUM,
            in_width=self.config.hidden_size,
            weight=self._append(self.read(roles.word_embeddings)),  # (V, H)
            bias=self._append(self.read(roles.position_embeddings) + type_row),  # (P, H)
        )
        self._norm(roles.embedding_norm)

    def _layer(self, roles: LayerRoles) -> None:
        hidden = self.config.hidden_size
        self._qkv(roles)  # (T, H) -> (T, 3H)
        self._add(
            Operation.ATTENTION,
            Buffer.QKV,
            Buffer.ATTENDED,
            in_width=hidden,
            num_heads=self.config.num_heads,
        )  # (T, 3H) -> (T, H)
        self._linear(roles.attention_output, Buffer.ATTENDED, Buffer.SUM, residual=Buffer.STATES)
        self._norm(roles.attention_norm)  # (T, H)
        activation = _ACTIVATIONS[self.config.activation]
        self._linear(roles.up, Buffer.STATES, Buffer.WIDE, activation=activation)  # -> (T, F)
        self._linear(roles.down, Buffer.WIDE, Buffer.SUM, residual=Buffer.STATES)  # -> (T, H)
        self._norm(roles.output_norm)  # (T, H)

    def _qkv(self, roles: LayerRoles) -> None:
        """One product for all three; the queries come out divided by the root of a head's width."""
        scale = np.float32((self.config.hidden_size // self.config.num_heads) ** -0.5)
        linears = (roles.query, roles.key, roles.value)
        weights = [self.read(linear.weight) for linear in linears]  # (H, H) each
        biases = [self.read(linear.bias) for linear in linears]  # (H,) each
        weight = np.concatenate([weights[0] * scale, *weights[1:]])  # (3H, H)
        bias = np.concatenate([biases[0] * scale, *biases[1:]])  # (3H,)
        self._product(weight, bias, Buffer.STATES, Buffer.QKV)

    def _linear(self, linear: Linear, source: Buffer, output: Buffer, **others: Any) -> None:
        self._product(self.read(linear.weight), self.read(linear.bias), source, output, **others)

    def _product(
        self, weight: FloatArray, bias: FloatArray, source: Buffer, output: Buffer, **others: Any
    ) -> None:
        """Multiply by a weight (N, K) and add a bias (N,): (T, K) -> (T, N)."""
        out_width, in_width = weight.shape
        others |= {"in_width": in_width, "out_width": out_width}
        if not np.isfinite(weight).all():
            raise UnsupportedModelError("The checkpoint holds weights that are not finite.")
        others["bias"] = self._append(pack_bias(bias, self.layout.target))
        if self.layout.precision is Precision.FP32:
            panels = pack_panels(weight, self.layout.target)
            self._add(Operation.LINEAR, source, output, weight=self._append(panels), **others)
            return
        quantized, scale, column_sum = quantize_panels(weight, self.layout.target)
        others |= {"scale": self._append(scale), "column_sum": self._append(column_sum)}
        self._add(Operation.LINEAR_INT8, source, output, weight=self._append(quantized), **others)

    def _norm(self, norm: Norm) -> None:
        self._add(
            Operation.NORM,
            Buffer.SUM,
            Buffer.STATES,
            in_width=self.config.hidden_size,
            epsilon=self.config.layer_norm_eps,
            weight=self._append(self.read(norm.gain)),
            bias=self._append(self.read(norm.bias)),
        )

    def _add(self, operation: Operation, source: Buffer, output: Buffer, **others: Any) -> None:
        self.steps.append(Step(operation, source, output, **others))

    def _append(self, values: np.ndarray[Any, Any]) -> int:
        """Write values to the weights file; returns their place in it."""
        if not np.isfinite(values).all():
            raise UnsupportedModelError("The checkpoint holds values that are not finite.")
        self.weights.write(b"\0" * (-self.weights.tell() % _ALIGNMENT_BYTES))
        place = self.weights.tell()
        self.weights.write(np.ascontiguousarray(values).data)
        return place
