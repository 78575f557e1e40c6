"""A blueprint's steps on PyTorch: data, interpreted over a packed microbatch.

T tokens, H hidden size, D width of a head. A step's result takes its buffer's name; it may be
narrower than what the native kernels keep there, as behind a gate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch.nn import functional

from satsuma.engine.architectures.blueprint import IDENTITY, Blueprint
from satsuma.engine.architectures.steps import (
    Attend,
    Embed,
    Gate,
    LayerNorm,
    Product,
    RmsNorm,
    Rotate,
    Step,
)
from satsuma.engine.pytorch.attention import attend
from satsuma.engine.pytorch.inputs import Inputs
from satsuma.engine.pytorch.packing import tensor_name

Buffers = dict[str, torch.Tensor]


def _gelu_tanh(rows: torch.Tensor) -> torch.Tensor:
    return functional.gelu(rows, approximate="tanh")


_ACTIVATIONS: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "gelu": functional.gelu,  # by the error function
    "gelu_new": _gelu_tanh,
    "gelu_pytorch_tanh": _gelu_tanh,
    "relu": torch.relu,
    "silu": functional.silu,
    "tanh": torch.tanh,
}


class Program:
    """An encoder on one device. Thread-safe: a run's buffers are its own.

    Attributes:
        dtype: of the weights and of most of the arithmetic.
        memory_bytes: of the weights.
    """

    def __init__(self, blueprint: Blueprint, tensors: Mapping[str, torch.Tensor]) -> None:
        """Bind the steps to their tensors.

        Args:
            blueprint: the steps.
            tensors: what `packing.read_tensors` read, all on one device.
        """
        self._blueprint = blueprint
        self._tensors = tensors
        words = next(tensor for name, tensor in tensors.items() if name.endswith(".words"))
        self.dtype, self._device = words.dtype, words.device
        self._tables = self._read_tables()
        everything = [*tensors.values(), *self._tables.values()]
        self.memory_bytes = sum(tensor.nbytes for tensor in everything)

    def run(self, inputs: Inputs) -> torch.Tensor:
        """Compute the hidden states: (T, H) float32, on the device."""
        buffers: Buffers = {}
        angles: dict[tuple[float, int], torch.Tensor] = {}
        for number, step in enumerate(self._blueprint.steps):
            match step:
                case Rotate():
                    buffers[step.buffer] = self._rotate(step, buffers, inputs, angles)
                case Gate():
                    buffers[step.buffer] = _gate(step, buffers[step.buffer])
                case _:
                    buffers[step.output] = self._compute(number, step, buffers, inputs)
        return buffers[self._blueprint.result].float()

    def _compute(self, number: int, step: Step, buffers: Buffers, inputs: Inputs) -> torch.Tensor:
        """Compute a step that gives new rows."""
        match step:
            case Embed():
                return self._embed(number, inputs)
            case LayerNorm():
                return self._layer_norm(number, step, buffers[step.input])
            case RmsNorm():
                return self._rms_norm(number, step, buffers)
            case Product():
                return self._multiply(number, step, buffers)
            case Attend():
                return attend(step, buffers[step.input], inputs)
        raise TypeError(step)

    def _embed(self, number: int, inputs: Inputs) -> torch.Tensor:
        rows = functional.embedding(inputs.token_ids, self._tensor(number, "words"))  # (T, H)
        table = self._find(number, "positions")  # (P, H)
        return rows if table is None else rows.add_(functional.embedding(inputs.positions, table))

    def _layer_norm(self, number: int, step: LayerNorm, rows: torch.Tensor) -> torch.Tensor:
        """Mean and variance are computed in float32, whatever the rows are in."""
        gain, bias = self._tensor(number, "gain"), self._find(number, "bias")
        return functional.layer_norm(rows, step.gain.shape, gain, bias, step.epsilon)

    def _rms_norm(self, number: int, step: RmsNorm, buffers: Buffers) -> torch.Tensor:
        """All in float32; what follows the parts is left alone."""
        rows, gains = buffers[step.input], self._tensor(number, "gains")  # (parts, D)
        normed = gains.numel()
        parts = rows[:, :normed].float().unflatten(1, gains.shape)  # (T, parts, D)
        scaled = functional.rms_norm(parts, gains.shape[1:], None, step.epsilon) * gains
        result = scaled.flatten(1)
        if step.residual:
            result = result + buffers[step.residual]
        result = result.to(rows.dtype)
        return result if normed == rows.shape[1] else torch.cat((result, rows[:, normed:]), dim=1)

    def _multiply(self, number: int, step: Product, buffers: Buffers) -> torch.Tensor:
        weight, bias = self._tensor(number, "weight"), self._find(number, "bias")  # (N, K), (N,)
        rows = functional.linear(buffers[step.input].to(weight.dtype), weight, bias)
        if step.activation != IDENTITY:
            rows = _ACTIVATIONS[step.activation](rows)
        return rows.add_(buffers[step.residual]) if step.residual else rows

    def _rotate(
        self,
        step: Rotate,
        buffers: Buffers,
        inputs: Inputs,
        angles: dict[tuple[float, int], torch.Tensor],
    ) -> torch.Tensor:
        """Turn the first heads of each row, in float32."""
        key = (step.theta, step.head_width)
        if key not in angles:  # once a run, not once a layer
            table = self._tables[key]
            angles[key] = functional.embedding(inputs.positions, table)[:, None]  # (T, 1, D)
        cosines, sines = angles[key].chunk(2, dim=-1)  # (T, 1, D / 2) each
        rows = buffers[step.buffer]
        turned = step.num_heads * step.head_width
        heads = rows[:, :turned].unflatten(1, (step.num_heads, step.head_width)).float()
        left, right = heads.chunk(2, dim=-1)  # (T, heads, D / 2) each
        parts = (left * cosines - right * sines, right * cosines + left * sines)
        result = torch.cat(parts, dim=-1).flatten(1).to(rows.dtype)
        return result if turned == rows.shape[1] else torch.cat((result, rows[:, turned:]), dim=1)

    def _read_tables(self) -> dict[tuple[float, int], torch.Tensor]:
        """Compute each table of angles once: (P, D) float32."""
        rotations = [step for step in self._blueprint.steps if isinstance(step, Rotate)]
        unlike = {(step.theta, step.head_width): step for step in rotations}
        return {key: torch.from_numpy(step.read()).to(self._device) for key, step in unlike.items()}

    def _tensor(self, number: int, role: str) -> torch.Tensor:
        return self._tensors[tensor_name(number, role)]

    def _find(self, number: int, role: str) -> torch.Tensor | None:
        return self._tensors.get(tensor_name(number, role))


def _gate(step: Gate, rows: torch.Tensor) -> torch.Tensor:
    left, right = rows.split(step.width, dim=1)  # (T, F) each
    return _ACTIVATIONS[step.activation](left) * right
