"""What runs a model, ready for it: the only module that picks an adapter.

`choice.py` says which engine and which device it is.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from satsuma.engine.architectures.blueprint import Architecture
from satsuma.engine.architectures.tensors import ReadTensor
from satsuma.engine.choice import (
    Choice,
    choose,
    choose_device,
    import_torch_engine,
    is_card,
)
from satsuma.engine.machine import detect_cores, total_memory_bytes, usable_processors
from satsuma.engine.native import backend as native
from satsuma.engine.native.packing import PRECISIONS
from satsuma.engine.native.verify import best_kernels
from satsuma.engine.protocol import Encoder, Width
from satsuma.engine.topology import Places, plan_places, read_cache_groups
from satsuma.errors import EngineError
from satsuma.settings import CPU_DEVICE, Settings
from satsuma.types import Engine, Precision

# A card computes one microbatch while the next is packed, sent and queued behind it.
_LANES_OF_A_CARD = 2
_USUAL_TOKENS = 512
_USUAL_CARD_TOKENS = 8192  # before it was measured


@dataclass(frozen=True, slots=True)
class Backend:
    """One engine, ready for one model.

    Attributes:
        cache_parts: name what the packed files depend on, beside the model and the precision.
        write: pack a checkpoint, given its tensors' names, into an empty folder.
        open: load what `write` packed.
    """

    cache_parts: Callable[[], tuple[object, ...]]
    write: Callable[[Collection[str], ReadTensor, Path], None]
    open: Callable[[Path], Encoder]


def choose_backend(settings: Settings, architecture: Architecture, weights_bytes: int) -> Backend:
    """Choose the engine that the settings ask for, or the best that is here.

    Args:
        settings: engine, precision, threads.
        architecture: what the model computes.
        weights_bytes: what the checkpoint takes.

    Raises:
        EngineError: if the engine asked for is not here, or cannot do the precision, the device or
            the model.
    """
    choice = choose(settings)
    check_precision(settings, choice)
    if choice.engine is Engine.TORCH:
        return _torch(settings, choice, architecture)
    if choice.engine is Engine.NATIVE:
        return _native(settings, architecture)
    return _onnx(settings, architecture, weights_bytes)


def check_precision(settings: Settings, choice: Choice) -> None:
    """Refuse a precision that the engine or the device lacks.

    Raises:
        EngineError: saying what has it.
    """
    precision = settings.precision
    if choice.engine is Engine.TORCH:
        devices = import_torch_engine("devices")
        for device in devices.find_devices(choice.device):
            devices.check_precision(device, precision)
    elif precision not in PRECISIONS:
        raise EngineError(
            f"Precision {precision} runs on a card (--device cuda), or slowly on the CPU with "
            "--engine torch; the CPU's own engine has fp32 and int8."
        )
    elif choice.engine is Engine.ONNX and precision is not Precision.FP32:
        raise EngineError(
            f"Precision {precision} needs the native engine, and ONNX Runtime was chosen. "
            "Leave out --engine onnx; where `satsuma doctor` shows no native engine, use fp32."
        )


def find_trouble(settings: Settings) -> str:
    """Say why nothing runs with these settings; empty if all is well."""
    try:
        check_precision(settings, choose(settings))
    except EngineError as error:
        return str(error)
    return ""


def describe_engine(settings: Settings) -> tuple[Engine, str]:
    """Say what would run a model, and with which kernels or on which device."""
    choice = choose(settings)
    if choice.engine is Engine.TORCH:
        return choice.engine, import_torch_engine("devices").describe_all(choice.device)
    if choice.engine is Engine.NATIVE:
        return choice.engine, f"native, with {best_kernels().target.name} kernels"
    return choice.engine, "ONNX Runtime"


@dataclass(frozen=True, slots=True)
class LanePlan:
    """What microbatches run in.

    Attributes:
        num_lanes: microbatches that run at once.
        token_budget: tokens of one.
        threads: of each lane; empty where lanes are a card's.
        is_on_cards: whether they are.
        is_measured: whether each model is to be measured for its own budget.
    """

    num_lanes: int
    token_budget: int
    threads: tuple[int, ...] = ()
    is_on_cards: bool = False
    is_measured: bool = False


def plan_lanes(settings: Settings) -> LanePlan:
    """Plan lanes and microbatches, as set or as the device asks for.

    Raises:
        EngineError: if there is no such engine or device.
    """
    device = choose_device(settings)
    if is_card(device):
        num_cards = len(import_torch_engine("devices").find_devices(device))
        return LanePlan(
            num_lanes=settings.lanes or _LANES_OF_A_CARD * num_cards,
            token_budget=settings.token_budget or _USUAL_CARD_TOKENS,
            is_on_cards=True,
            is_measured=not settings.token_budget,
        )
    budget = settings.token_budget or _USUAL_TOKENS
    if settings.engine is Engine.TORCH or device != CPU_DEVICE:  # shares a run among all cores
        num_lanes = settings.lanes or 1
        return LanePlan(num_lanes, budget, (count_threads(settings),) * num_lanes)
    threads = tuple(place.num_cores for place in find_places(settings).lanes)
    return LanePlan(len(threads), budget, threads)


def models_memory_bytes(settings: Settings) -> int:
    """Say how much memory models may take together: as set, or half of what the device has."""
    if settings.memory_budget_bytes:
        return settings.memory_budget_bytes
    device = choose_device(settings)
    if not is_card(device):
        return total_memory_bytes() // 2
    devices = import_torch_engine("devices")
    return int(min(map(devices.memory_bytes, devices.find_devices(device))) // 2)


def count_threads(settings: Settings) -> int:
    """Cores to use: the setting, or what the machine grants."""
    return settings.threads or detect_cores().usable


def find_places(settings: Settings) -> Places:
    """Say which cores the lanes have: as set, or as this machine's caches ask for."""
    groups = read_cache_groups(usable_processors())
    return plan_places(count_threads(settings), settings.lanes, groups)


def _native(settings: Settings, architecture: Architecture) -> Backend:
    precision, is_normalized = settings.precision, architecture.is_normalized
    return Backend(
        cache_parts=native.cache_parts,
        write=partial(native.write_packed, architecture=architecture, precision=precision),
        open=partial(native.open_packed, places=find_places(settings), is_normalized=is_normalized),
    )


def _torch(settings: Settings, choice: Choice, architecture: Architecture) -> Backend:
    adapter, precision = import_torch_engine("backend"), settings.precision
    adapter.check_model(architecture, precision)
    return Backend(
        cache_parts=partial(adapter.cache_parts, architecture),
        write=partial(adapter.write_packed, architecture=architecture, precision=precision),
        open=partial(
            adapter.open_packed,
            architecture=architecture,
            device=choice.device,
            threads=count_threads(settings),
        ),
    )


def _onnx(settings: Settings, architecture: Architecture, weights_bytes: int) -> Backend:
    from satsuma.engine import onnx  # noqa: PLC0415  a runtime of its own, slow to import

    config = onnx.require_bert(architecture)
    return Backend(
        cache_parts=onnx.cache_parts,
        write=partial(onnx.write_packed, config=config),
        open=partial(
            onnx.OnnxEncoder,
            hidden_size=config.hidden_size,
            shares=_share_cores(find_places(settings)),
            memory_bytes=weights_bytes,
            is_normalized=architecture.is_normalized,
        ),
    )


def _share_cores(places: Places) -> dict[Width, int]:
    """Say how many cores a run of each width has, where lanes share one pool of threads."""
    narrowest = min(place.num_cores for place in places.lanes)
    return {Width.ONE_CORE: 1, Width.ONE_LANE: narrowest, Width.ALL_CORES: places.whole.num_cores}
