"""Which engine runs a model: the only module that picks an adapter.

The native engine is taken where this installation has it; ONNX Runtime runs everywhere else.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from satsuma.engine.architectures import EncoderConfig, EncoderRoles, ReadTensor
from satsuma.engine.machine import detect_cores
from satsuma.engine.native import backend as native
from satsuma.engine.native.library import load_library
from satsuma.engine.native.verify import best_kernels
from satsuma.engine.protocol import Encoder, Width
from satsuma.errors import EngineError
from satsuma.settings import Settings
from satsuma.types import Engine, Precision

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Backend:
    """One engine, ready for one model.

    Attributes:
        cache_parts: name what the packed files depend on, beside the model and the precision.
        write: pack a model's weights into an empty folder.
        open: load what `write` packed.
    """

    cache_parts: Callable[[], tuple[object, ...]]
    write: Callable[[EncoderConfig, EncoderRoles, ReadTensor, Path], None]
    open: Callable[[Path], Encoder]


def choose_backend(settings: Settings, config: EncoderConfig, weights_bytes: int) -> Backend:
    """Choose the engine that the settings ask for, or the best that is here.

    Args:
        settings: engine, precision, threads.
        config: the encoder's numbers.
        weights_bytes: what the checkpoint takes.

    Raises:
        EngineError: if the engine asked for is not here, or cannot do the precision.
    """
    if chosen_engine(settings) is Engine.NATIVE:
        return _native(settings)
    if settings.precision is not Precision.FP32:
        raise EngineError(
            f"Precision {settings.precision} needs the native engine, and ONNX Runtime was chosen. "
            "Leave out --engine onnx; where `satsuma doctor` shows no native engine, use fp32."
        )
    return _onnx(settings, config, weights_bytes)


def chosen_engine(settings: Settings) -> Engine:
    """Resolve `auto`."""
    if settings.engine is not Engine.AUTO:
        return settings.engine
    try:
        load_library()
    except EngineError as error:
        _LOGGER.warning("%s. ONNX Runtime takes its place.", error)
        return Engine.ONNX
    return Engine.NATIVE


def describe_engine(settings: Settings) -> tuple[Engine, str]:
    """Say what would run a model, and with which kernels."""
    engine = chosen_engine(settings)
    if engine is Engine.NATIVE:
        return engine, f"native, with {best_kernels().target.name} kernels"
    return engine, "ONNX Runtime"


def count_threads(settings: Settings) -> int:
    """Cores to use: the setting, or what the machine grants."""
    return settings.threads or detect_cores().usable


def count_lanes(settings: Settings) -> int:
    """Microbatches that run at once: the setting, or one a core, and never more than cores."""
    threads = count_threads(settings)
    return min(settings.lanes or threads, threads)


def share_cores(settings: Settings) -> dict[Width, int]:
    """Say how many cores a run of each width has."""
    threads = count_threads(settings)
    return {Width.ONE_LANE: threads // count_lanes(settings), Width.ALL_CORES: threads}


def _native(settings: Settings) -> Backend:
    shares, num_lanes = share_cores(settings), count_lanes(settings)
    return Backend(
        cache_parts=native.cache_parts,
        write=partial(native.write_packed, precision=settings.precision),
        open=partial(native.open_packed, shares=shares, num_lanes=num_lanes),
    )


def _onnx(settings: Settings, config: EncoderConfig, weights_bytes: int) -> Backend:
    from satsuma.engine import onnx  # noqa: PLC0415  a runtime of its own, slow to import

    return Backend(
        cache_parts=onnx.cache_parts,
        write=onnx.write_packed,
        open=partial(
            onnx.OnnxEncoder,
            hidden_size=config.hidden_size,
            shares=share_cores(settings),
            memory_bytes=weights_bytes,
        ),
    )
