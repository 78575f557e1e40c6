"""The devices that PyTorch sees here, and what each can do."""

from __future__ import annotations

import logging
import os
from functools import cache

import torch

from satsuma.errors import EngineError
from satsuma.types import Precision

_LOGGER = logging.getLogger(__name__)
_GIB = 2**30
_OLDEST = (2, 13)  # release of PyTorch, as the extra `gpu` asks for it
_AMPERE = 8  # the first generation of cards with bfloat16 in its matrix units
# What is said where PyTorch's allocator was not asked, but cuBLAS or the host's was.
_SHORT_MEMORY = ("STATUS_ALLOC_FAILED", "CUBLAS_STATUS_NOT_INITIALIZED", "out of memory")


def find_devices(name: str) -> tuple[torch.device, ...]:
    """Give the devices of a name: `cuda` is every card, `cuda:1` the second.

    Raises:
        EngineError: if there is no such device, or it does not compute, or PyTorch is too old; the
            message says what there is.
    """
    _check_release()
    kind, _, index = name.partition(":")
    if kind == "cpu":
        return (torch.device("cpu"),)
    if kind == "mps":
        return (_require_mps(),)
    cards = _find_cards(name, index)
    for card in cards:
        _try_card(card)
    return cards


def has_cards() -> bool:
    """Tell whether PyTorch sees a card here.

    Raises:
        EngineError: if it is too old for satsuma, or does not compute on one of them.
    """
    _check_release()
    return bool(torch.cuda.is_available()) and bool(find_devices("cuda"))


def check_precision(device: torch.device, precision: Precision) -> None:
    """Refuse what a device does not compute.

    Raises:
        EngineError: if it lacks the precision; the message says what it has.
    """
    if precision is Precision.INT8:
        raise EngineError(
            "Precision int8 needs the native engine, and PyTorch was chosen. Use --device cpu "
            "without --engine torch, or fp16 or bf16."
        )
    if precision is not Precision.BF16 or _has_bf16(device):
        return
    raise EngineError(f"{describe(device)} has no bf16; use --precision fp16 or fp32.")


def demand_exact_products() -> None:
    """Let cards multiply in the precision that was asked for, and add up in float32.

    It holds for the whole process, whatever a container's environment sets for PyTorch.
    """
    products = torch.backends.cuda.matmul
    products.allow_tf32 = False
    products.allow_fp16_reduced_precision_reduction = False
    products.allow_bf16_reduced_precision_reduction = False
    override = os.environ.get("NVIDIA_TF32_OVERRIDE", "0")  # the libraries' own, beyond PyTorch
    if override != "0":
        _warn_of_override(override)


@cache
def _warn_of_override(value: str) -> None:
    """Log it, once."""
    _LOGGER.warning(
        "NVIDIA_TF32_OVERRIDE=%s may make fp32 on a card less exact than it says; unset it", value
    )


def compute_on(device: torch.device) -> None:
    """Compute something, wait for it, and so for the device's failure.

    Raises:
        RuntimeError: if the device does not compute.
    """
    torch.ones(1, device=device).add(1).item()


def free_memory(device: torch.device) -> None:
    """Give back what PyTorch keeps of a device's memory, and of the host's for its copies."""
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.empty_cache()
        torch.accelerator.empty_host_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def is_memory_short(error: RuntimeError) -> bool:
    """Tell what PyTorch's own memory lacks, and what a library beside it or the host does."""
    is_typed = isinstance(error, torch.OutOfMemoryError)
    return is_typed or any(words in str(error) for words in _SHORT_MEMORY)


def describe(device: torch.device) -> str:
    """Name a device for people."""
    if device.type != "cuda":
        return {"cpu": "the CPU", "mps": "Apple's GPU"}[device.type]
    found = torch.cuda.get_device_properties(device)
    return f"{device} ({found.name}, {found.total_memory / _GIB:.0f} GiB)"


def describe_all(name: str) -> str:
    """Name the devices of a name, and whose release of PyTorch runs them.

    Raises:
        EngineError: as `find_devices`.
    """
    devices = ", ".join(map(describe, find_devices(name)))
    return f"PyTorch {torch.__version__} on {devices}"


def memory_bytes(device: torch.device) -> int:
    """Say how much memory a card has."""
    return int(torch.cuda.get_device_properties(device).total_memory)


def _has_bf16(device: torch.device) -> bool:
    if device.type == "cuda" and not torch.version.hip:
        return bool(torch.cuda.get_device_capability(device)[0] >= _AMPERE)
    return True


def _check_release() -> None:
    if tuple(map(int, torch.__version__.split(".")[:2])) < _OLDEST:
        wanted = ".".join(map(str, _OLDEST))
        raise EngineError(
            f"PyTorch {torch.__version__} is too old, and satsuma needs {wanted} or newer. "
            "Get it: pip install --upgrade 'satsuma[gpu]' (docs/gpu.md)"
        )


@cache
def _try_card(card: torch.device) -> None:
    """Compute something: a build has kernels for some generations of cards alone."""
    try:
        compute_on(card)
    except RuntimeError as error:
        raise EngineError(
            f"PyTorch {torch.__version__} sees {card}, and does not compute on it: {error}"
        ) from error


def _find_cards(name: str, index: str) -> tuple[torch.device, ...]:
    """Find every card, or the one of an index."""
    count = _count_cards()
    if not index:
        return tuple(torch.device("cuda", number) for number in range(count))
    if int(index) >= count:
        there = ", ".join(f"cuda:{number}" for number in range(count))
        raise EngineError(f"There is no device {name}; PyTorch sees {there}.")
    return (torch.device("cuda", int(index)),)


def _count_cards() -> int:
    if torch.cuda.is_available():
        return int(torch.cuda.device_count())
    raise EngineError(f"PyTorch {torch.__version__} {_why_no_card()}; `--device cpu` needs none.")


def _why_no_card() -> str:
    if not torch.version.cuda and not torch.version.hip:
        return "is a build without CUDA: install the one for your card (docs/gpu.md)"
    return "sees no card: look at `nvidia-smi`, the driver and CUDA_VISIBLE_DEVICES"


def _require_mps() -> torch.device:
    if torch.backends.mps.is_available():
        return torch.device("mps")
    raise EngineError("PyTorch sees no GPU of Apple's here; `--device cpu` needs none.")
