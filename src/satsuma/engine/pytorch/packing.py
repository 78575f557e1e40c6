"""Blueprint -> the tensors of its steps, folded and fused, in one safetensors file.

A tensor is named after its step's number and its role there, so that the file needs no other
description: whoever opens it has the same blueprint.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from satsuma.engine.architectures.blueprint import Blueprint
from satsuma.engine.architectures.steps import Embed, LayerNorm, Product, RmsNorm, Step
from satsuma.engine.architectures.tensors import Positions, ReadTensor
from satsuma.errors import UnsupportedModelError
from satsuma.types import FloatArray, Precision

PACKING_VERSION = 1  # raise it whenever what is written changes
WEIGHTS_NAME = "weights.safetensors"

DTYPES = {
    Precision.FP32: torch.float32,
    Precision.FP16: torch.float16,
    Precision.BF16: torch.bfloat16,
}


def write_tensors(
    blueprint: Blueprint, read: ReadTensor, folder: Path, precision: Precision
) -> None:
    """Write what the steps read into an empty folder.

    Args:
        blueprint: the steps.
        read: tensor name -> float32 array, as Hugging Face stores it.
        folder: gets the file.
        precision: of the tensors, but for those that stay in float32.

    Raises:
        UnsupportedModelError: if a weight is not finite in this precision.
    """
    tensors = {
        tensor_name(number, role): _to_tensor(
            values, torch.float32 if is_exact else None, precision
        )
        for number, step in enumerate(blueprint.steps)
        for role, values, is_exact in _read_step(step, read)
    }
    save_file(tensors, folder / WEIGHTS_NAME)


def read_tensors(folder: Path, device: torch.device) -> dict[str, torch.Tensor]:
    """Bring what `write_tensors` wrote to a device; nothing stays mapped."""
    tensors = load_file(folder / WEIGHTS_NAME, device=str(device))
    if device.type != "cpu":
        return tensors
    return {name: tensor.clone() for name, tensor in tensors.items()}


def tensor_name(number: int, role: str) -> str:
    """Name the tensor of a step."""
    return f"{number}.{role}"


def _to_tensor(values: FloatArray, dtype: torch.dtype | None, precision: Precision) -> torch.Tensor:
    owned = np.require(values, np.float32, ("C", "W"))
    tensor = torch.from_numpy(owned).to(dtype or DTYPES[precision])
    if not bool(torch.isfinite(tensor).all()):
        raise UnsupportedModelError(
            f"The checkpoint holds weights that are not finite in {precision}."
        )
    return tensor


def _read_step(step: Step, read: ReadTensor) -> Iterator[tuple[str, FloatArray, bool]]:
    """Read each tensor of a step: its role, its values, and whether they stay in float32."""
    match step:
        case Embed():
            yield from _read_embed(step, read)
        case LayerNorm():
            yield "gain", step.gain.read(read), False
            if step.bias:
                yield "bias", step.bias.read(read), False
        case RmsNorm():
            gains = {gain: gain.read(read) for gain in set(step.gains)}
            yield "gains", np.stack([gains[gain] for gain in step.gains]), True  # (parts, D)
        case Product():
            yield from _read_product(step, read)


def _read_embed(step: Embed, read: ReadTensor) -> Iterator[tuple[str, FloatArray, bool]]:
    words = step.words.read(read)  # (V, H)
    if isinstance(step.positions, Positions):
        yield "positions", step.positions.read(read), False  # (P, H)
    elif step.positions:  # the same for every token
        words = words + step.positions.token_types.read(read)[0]
    yield "words", words, False


def _read_product(step: Product, read: ReadTensor) -> Iterator[tuple[str, FloatArray, bool]]:
    """Read layers side by side as one weight (N, K), and one bias (N,) where any has one."""
    layers = [linear.read(read) for linear in step.linears]
    bias = np.concatenate([bias for _, bias in layers])
    yield "weight", np.concatenate([weight for weight, _ in layers]), step.is_exact
    if bias.any():
        yield "bias", bias, step.is_exact
