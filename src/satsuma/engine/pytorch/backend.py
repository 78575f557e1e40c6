"""What `engine.backends` needs of PyTorch: the key of its files, writing, opening."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import torch

from satsuma.engine.architectures.blueprint import Architecture
from satsuma.engine.architectures.gemma3 import Gemma3Config
from satsuma.engine.architectures.tensors import ReadTensor
from satsuma.engine.pytorch.devices import demand_exact_products, find_devices
from satsuma.engine.pytorch.encoder import TorchEncoder
from satsuma.engine.pytorch.packing import PACKING_VERSION, read_tensors, write_tensors
from satsuma.engine.pytorch.places import share_places
from satsuma.engine.pytorch.program import Program
from satsuma.errors import EngineError
from satsuma.types import Precision


def check_model(architecture: Architecture, precision: Precision) -> None:
    """Refuse a precision that the model does not go with.

    Raises:
        EngineError: saying which it goes with.
    """
    # Source: https://github.com/huggingface/transformers/issues/36822
    if precision is Precision.FP16 and isinstance(architecture.config, Gemma3Config):
        raise EngineError("This model's values go beyond fp16; use --precision bf16 or fp32.")


def cache_parts(architecture: Architecture) -> tuple[object, ...]:
    """Name what the packed files depend on, beside the model and the precision."""
    return (PACKING_VERSION, architecture.blueprint(()).steps)


def write_packed(
    names: Collection[str],
    read: ReadTensor,
    folder: Path,
    *,
    architecture: Architecture,
    precision: Precision,
) -> None:
    """Fill an empty folder with what `open_packed` loads; see `packing.write_tensors`."""
    write_tensors(architecture.blueprint(names), read, folder, precision)


def open_packed(
    folder: Path, *, architecture: Architecture, device: str, threads: int
) -> TorchEncoder:
    """Load what `write_packed` wrote, once for each device.

    Raises:
        EngineError: if a device's memory is too small, or the device fails.
    """
    # A checkpoint's names differ, its steps do not; tensors are found by their steps' numbers.
    blueprint = architecture.blueprint(())
    devices = find_devices(device)
    places = share_places(devices)
    if device == "cpu":
        torch.set_num_threads(threads)
    if any(one.type == "cuda" for one in devices):
        demand_exact_products()
    try:
        with places.take_turn():
            programs = [Program(blueprint, read_tensors(folder, one)) for one in devices]
        for one in devices:  # runs have streams of their own, which would not wait for the copies
            if one.type == "cuda":
                torch.cuda.synchronize(one)
    except torch.OutOfMemoryError as error:
        raise EngineError(f"The model does not fit the device's memory: {error}") from error
    except RuntimeError as error:
        raise EngineError(f"PyTorch failed to load the model: {error}") from error
    encoder = TorchEncoder(blueprint, programs, places)
    encoder.is_normalized = architecture.is_normalized
    return encoder
