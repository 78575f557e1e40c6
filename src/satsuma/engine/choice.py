"""Which engine runs the models, and on which device. Loads PyTorch only if it may be chosen."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType

from satsuma.engine.native.library import load_library
from satsuma.errors import EngineError
from satsuma.settings import AUTO_DEVICE, CPU_DEVICE, Settings
from satsuma.types import Engine, Precision

_LOGGER = logging.getLogger(__name__)
_HOW_TO_GET_NATIVE = (
    "Install satsuma anew (`pip install --force-reinstall --no-deps satsuma`) where it has a wheel "
    "or can compile, or leave out --engine native: ONNX Runtime runs everywhere."
)
# What the drivers of cards put there: NVIDIA's, the same under Windows' Linux, and AMD's.
_CARD_FILES = ("nvidia[0-9]*", "dxg", "kfd")


@dataclass(frozen=True, slots=True)
class Choice:
    """What runs the models.

    Attributes:
        engine: never `auto`.
        device: `cpu`, `mps`, `cuda` for every card, or `cuda:N`.
    """

    engine: Engine
    device: str


def choose(settings: Settings) -> Choice:
    """Resolve `auto`: PyTorch where there is a device for it, else the CPU's own engine.

    Raises:
        EngineError: if the engine and the device do not go together, or the engine is not here.
    """
    device = choose_device(settings)
    if settings.engine is Engine.TORCH or device != CPU_DEVICE:
        return Choice(Engine.TORCH, device)
    return Choice(_cpu_engine(settings), device)


def choose_device(settings: Settings) -> str:
    """Resolve `auto`: every card where PyTorch can use one, else the CPU.

    Raises:
        EngineError: if the engine and the device do not go together.
    """
    is_cpu_engine = settings.engine in (Engine.NATIVE, Engine.ONNX)
    if settings.device != AUTO_DEVICE:
        if is_cpu_engine and settings.device != CPU_DEVICE:
            raise EngineError(
                f"Engine {settings.engine} runs on the CPU alone, and --device {settings.device} "
                "was given. Leave out one of the two."
            )
        return settings.device
    has_int8 = settings.precision is Precision.INT8  # which is the native engine's
    return "cuda" if not (is_cpu_engine or has_int8) and has_cards() else CPU_DEVICE


def is_card(device: str) -> bool:
    """Tell whether a device is one of CUDA's cards, or all of them."""
    return device.startswith("cuda")


def import_torch_engine(module: str) -> ModuleType:
    """Import one of `engine.pytorch`'s modules.

    Raises:
        EngineError: if PyTorch is not installed, or cannot be loaded.
    """
    try:
        return importlib.import_module(f"satsuma.engine.pytorch.{module}")
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise _broken(error) from error
        raise EngineError(
            "PyTorch is not installed, and this device needs it. "
            "Get it: pip install 'satsuma[gpu]' (docs/gpu.md)"
        ) from error
    except (ImportError, OSError) as error:  # of its own libraries
        raise _broken(error) from error


@cache
def has_cards() -> bool:
    """Tell whether PyTorch is here and computes on every card.

    It is loaded only where a driver shows a card. What is amiss with it is told in a warning.
    """
    if not _shows_cards():
        return False
    if importlib.util.find_spec("torch") is None:
        _LOGGER.info("there is a card; with satsuma[gpu] it would run the models (docs/gpu.md)")
        return False
    try:
        return bool(import_torch_engine("devices").has_cards())
    except EngineError as error:
        _LOGGER.warning("%s. The CPU takes the card's place.", str(error).rstrip("."))
        return False


def _shows_cards() -> bool:
    """Tell whether there is a card's driver, and nobody hides the cards from this process."""
    is_hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    return not is_hidden and any(any(Path("/dev").glob(name)) for name in _CARD_FILES)


def _broken(error: Exception) -> EngineError:
    return EngineError(f"PyTorch cannot be loaded: {error}")


def _cpu_engine(settings: Settings) -> Engine:
    """Take the native engine where this installation has it.

    Raises:
        EngineError: if it was asked for and is not here.
    """
    if settings.engine is Engine.ONNX:
        return Engine.ONNX
    try:
        load_library()
    except EngineError as error:
        if settings.engine is Engine.NATIVE:
            raise EngineError(f"{error}. {_HOW_TO_GET_NATIVE}") from error
        _LOGGER.warning("%s. ONNX Runtime takes its place, slower and without int8.", error)
        return Engine.ONNX
    return Engine.NATIVE
