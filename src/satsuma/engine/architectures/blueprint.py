"""A whole encoder as data: a family's steps, the buffers that they name, and what follows them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from satsuma.engine.architectures.steps import Gate, Product, Rotate, Step
from satsuma.engine.architectures.tensors import Linear, Tensor, TensorHeader, check_tensor

IDENTITY = "identity"


@dataclass(frozen=True, slots=True)
class Blueprint:
    """An encoder: its steps, and the width of each buffer that they name.

    Attributes:
        steps: in order; what the last one writes is the encoder's result.
        widths: of each buffer.
        vocab_size: ids beyond it are not to be looked up.
        max_tokens: longest item.
    """

    steps: tuple[Step, ...]
    widths: Mapping[str, int]
    vocab_size: int
    max_tokens: int

    @property
    def result(self) -> str:
        """The buffer that the last step writes."""
        last = self.steps[-1]
        return last.buffer if isinstance(last, Rotate | Gate) else last.output

    @property
    def tensors(self) -> Iterator[Tensor]:
        """Every tensor that it reads."""
        for step in self.steps:
            yield from step.tensors

    def check(self, headers: Mapping[str, TensorHeader]) -> None:
        """Compare the checkpoint's tensors with what the steps read.

        Raises:
            UnsupportedModelError: naming the tensor that is missing or has another shape or dtype.
        """
        for tensor in self.tensors:
            check_tensor(tensor, headers)


def gated_widths(hidden: int, qkv: int, attended: int, intermediate: int) -> dict[str, int]:
    """Name the buffers of layers that are normed before each half and gated in the second.

    Args:
        hidden: H, of the states, their sums and what is normed.
        qkv: of queries, keys and values together.
        attended: of what attention gives, all heads together.
        intermediate: F; the gate lies beside what it gates.
    """
    widths = dict.fromkeys(("states", "sum", "normed"), hidden)
    return {**widths, "qkv": qkv, "attended": attended, "gated": 2 * intermediate}


@dataclass(frozen=True, slots=True)
class Dense:
    """A layer that follows the hidden states: activation(x W + b)."""

    linear: Linear
    activation: str = IDENTITY


class EncoderConfig(Protocol):
    """The numbers that shape an encoder, as a family reads them from config.json.

    A frozen dataclass: its repr tells all that the encoder depends on beside the weights.
    """

    @property
    def hidden_size(self) -> int:
        """Width of the family's own result."""
        ...

    @property
    def vocab_size(self) -> int:
        """Rows of the table of words."""
        ...

    @property
    def max_tokens(self) -> int:
        """Longest item."""
        ...

    @property
    def gives_scores(self) -> bool:
        """Whether it is a classifier: what it gives for the first token scores the text."""
        ...

    def blueprint(self, names: Collection[str]) -> Blueprint:
        """List the steps.

        Args:
            names: of the checkpoint's tensors, for families whose checkpoints differ in them.
        """
        ...


@dataclass(frozen=True, slots=True)
class Architecture:
    """What is computed for a text's tokens: an encoder, and the dense layers that follow it.

    Attributes:
        config: the encoder's numbers.
        denses: in order; a model's vectors are what the last one gives.
        is_normalized: whether a pooled vector is scaled to length 1.
    """

    config: EncoderConfig
    denses: tuple[Dense, ...] = ()
    is_normalized: bool = True

    @property
    def hidden_size(self) -> int:
        """Width of a row of the result."""
        return self.denses[-1].linear.out_width if self.denses else self.config.hidden_size

    def blueprint(self, names: Collection[str]) -> Blueprint:
        """List all steps; see `EncoderConfig.blueprint`."""
        return add_denses(self.config.blueprint(names), self.denses)


def add_denses(blueprint: Blueprint, denses: tuple[Dense, ...]) -> Blueprint:
    """Let dense layers follow an encoder, for every token, though its pooling comes after them.

    A layer without an activation gives the same before a mean as after it, and any layer does
    before the choice of one token. Layers with nothing between them become one product, so that
    this costs next to nothing.
    """
    for number, dense in enumerate(_join(denses)):
        name, linear = f"dense{number}", dense.linear
        product = Product((linear,), blueprint.result, name, dense.activation, is_exact=True)
        widths = {**blueprint.widths, name: linear.out_width}
        blueprint = replace(blueprint, steps=(*blueprint.steps, product), widths=widths)
    return blueprint


def _join(denses: tuple[Dense, ...]) -> list[Dense]:
    """Make one layer of those with nothing between them."""
    joined: list[Dense] = []
    for dense in denses:
        if joined and joined[-1].activation == IDENTITY:
            linear = replace(dense.linear, before=joined.pop().linear)
            joined.append(Dense(linear, dense.activation))
        else:
            joined.append(dense)
    return joined
