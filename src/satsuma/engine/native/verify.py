"""The kernels that this process uses: the fastest that give the plain kernels' results here.

A kernel that was never run on a kind of processor is compiled on faith. So each candidate first
runs tiny encoders of random weights, and their hidden states must be those of plain C; one that
differs is passed over with a warning. Takes some 20 ms, once a process.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from satsuma.engine.architectures.bert import BertConfig
from satsuma.engine.architectures.blueprint import EncoderConfig
from satsuma.engine.architectures.gemma3 import Gemma3Config
from satsuma.engine.architectures.qwen3 import Qwen3Config
from satsuma.engine.native.crews import Crews
from satsuma.engine.native.encoder import NativeEncoder
from satsuma.engine.native.library import Kernels, list_kernels
from satsuma.engine.native.packing import PRECISIONS, Layout
from satsuma.engine.native.program import write_program
from satsuma.engine.protocol import Microbatch, Width
from satsuma.engine.topology import plan_places
from satsuma.types import FloatArray, Precision

_LOGGER = logging.getLogger(__name__)

# Sizes that leave a remainder in every loop, and between them every step that there is.
_CONFIGS = (
    BertConfig(
        hidden_size=76,
        num_layers=1,
        num_heads=4,
        intermediate_size=132,
        vocab_size=40,
        max_positions=24,
        token_types=1,
        activation="gelu",
        layer_norm_eps=1e-12,
    ),
    Qwen3Config(
        hidden_size=44,
        num_layers=1,
        num_heads=4,
        num_kv_heads=2,
        head_width=38,
        intermediate_size=76,
        vocab_size=40,
        max_tokens=24,
        theta=100.0,
        norm_eps=1e-6,
    ),
    Gemma3Config(
        hidden_size=44,
        num_heads=2,
        num_kv_heads=1,
        head_width=38,
        intermediate_size=76,
        vocab_size=40,
        max_tokens=24,
        query_scalar=38,
        window=5,
        has_window=(True,),
        is_causal=False,
        theta=100.0,
        window_theta=10.0,
        norm_eps=1e-6,
    ),
)
_LENGTHS = (1, 3, 23, 8)
_ALONE = plan_places(1, 1, [])
# Of the hidden states' size; in int8 a value may round to the other side on another processor.
_TOLERANCES = {Precision.FP32: 1e-5, Precision.INT8: 0.02}


@cache
def best_kernels() -> Kernels:
    """Return the fastest kernels that are right on this processor.

    Raises:
        EngineError: if this installation has no native engine.
    """
    *candidates, plain = list_kernels()
    try:
        return _first_right(candidates, plain)
    except OSError as error:  # no temporary folder, as in a container without a writable disk
        _LOGGER.warning("the kernels are used without a check, which needs a folder: %s", error)
        return [*candidates, plain][0]


def _first_right(candidates: Sequence[Kernels], plain: Kernels) -> Kernels:
    for kernels in candidates:
        if all(is_right(kernels, plain, precision) for precision in PRECISIONS):
            return kernels
        _LOGGER.warning(
            "the %s kernels give other results than plain C on this processor; "
            "they are not used. Please report it.",
            kernels.target.name,
        )
    return plain


def is_right(kernels: Kernels, plain: Kernels, precision: Precision) -> bool:
    """Compare the hidden states of tiny encoders."""
    same_weights = replace(plain.target, quad_limit=kernels.target.quad_limit)
    plain = replace(plain, target=same_weights)
    return all(
        _is_close(
            _hidden_states(config, kernels, precision),
            _hidden_states(config, plain, precision),
            _TOLERANCES[precision],
        )
        for config in _CONFIGS
    )


def _is_close(states: FloatArray, expected: FloatArray, tolerance: float) -> bool:
    error = np.linalg.norm(states - expected) / np.linalg.norm(expected)
    return bool(error < tolerance)  # a NaN is not


def _hidden_states(config: EncoderConfig, kernels: Kernels, precision: Precision) -> FloatArray:
    """Encode with a tiny encoder of random weights: (T, H)."""
    random = np.random.default_rng(0)
    blueprint = config.blueprint(())
    shapes = {tensor.name: tensor.shape for tensor in blueprint.tensors}
    tensors = {name: random.standard_normal(shape) * 0.3 for name, shape in shapes.items()}
    items = [random.integers(0, config.vocab_size, length) for length in _LENGTHS]
    with tempfile.TemporaryDirectory() as folder:
        write_program(
            blueprint,
            lambda name: tensors[name].astype(np.float32),
            Path(folder),
            Layout(kernels.target, precision),
        )
        encoder = NativeEncoder(Path(folder), crews=Crews(_ALONE), kernels=kernels)
        return encoder.encode(Microbatch.pack(items), Width.ONE_LANE)
