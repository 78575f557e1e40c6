"""The ONNX Runtime adapter: an Encoder over a packed graph.

Two sessions serve one model: a wide one with all cores for a lone short query, and a narrow one
with a lane's share of them that several threads call at once for bulk work. Both map the same
packed weights from disk, so that the machine holds them once
(docs/decisions/0004-two-sessions-one-copy.md).
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

# The runtime's own telemetry starts as it is imported. satsuma sends nothing to anybody.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime

from satsuma.engine import graph
from satsuma.engine.architectures.bert import BertConfig
from satsuma.engine.architectures.blueprint import Architecture
from satsuma.engine.architectures.tensors import ReadTensor
from satsuma.engine.guard import Guard
from satsuma.engine.machine import instruction_sets
from satsuma.engine.protocol import Microbatch, Width
from satsuma.errors import EngineError
from satsuma.types import FloatArray

_RUNTIME_VERSION = f"onnxruntime-{onnxruntime.__version__}"
_PACKED_NAME = "packed.onnx"

_ACTIVATIONS = ("gelu", "relu")
_PROVIDERS = ["CPUExecutionProvider"]
_ERRORS_ONLY = 3


def cache_parts() -> tuple[object, ...]:
    """Name what the packed files depend on, beside the model."""
    return (graph.GRAPH_VERSION, _RUNTIME_VERSION, instruction_sets())


def require_bert(architecture: Architecture) -> BertConfig:
    """Give the config of an encoder that this engine runs.

    Raises:
        EngineError: if it runs in the native engine only.
    """
    config = architecture.config
    is_plain = not architecture.denses and getattr(config, "activation", "") in _ACTIVATIONS
    if isinstance(config, BertConfig) and is_plain:
        return config
    raise EngineError(
        "This model needs the native engine, and ONNX Runtime was chosen. Leave out "
        "--engine onnx; where `satsuma doctor` shows no native engine, install satsuma anew."
    )


def write_packed(
    names: Collection[str], read: ReadTensor, folder: Path, *, config: BertConfig
) -> None:
    """Fill an empty folder with what `OnnxEncoder` maps; see `graph.write_graph`."""
    source = graph.write_graph(config, config.roles(names), read, folder)
    pack_weights(source, folder / _PACKED_NAME)
    for written in folder.glob("graph.*"):
        written.unlink()


def pack_weights(source: Path, packed: Path) -> None:
    """Let the runtime optimise a graph and write it back with its weights packed for this CPU.

    Args:
        source: an ONNX file with external weights.
        packed: gets the optimised graph; its weights go to `<packed>.weights` beside it.

    Raises:
        EngineError: if the runtime cannot load the graph or write the result.
    """
    options = _options(threads=1)
    options.optimized_model_filepath = str(packed)
    for key, value in {
        "optimized_model_external_initializers_file_name": weights_path(packed).name,
        "optimized_model_external_initializers_min_size_in_bytes": "1024",
        "save_external_prepacked_constant_initializers": "1",
    }.items():
        options.add_session_config_entry(f"session.{key}", value)
    _session(source, options)


def weights_path(packed: Path) -> Path:
    """Where a packed graph's weights lie."""
    return packed.with_name(packed.name + ".weights")


class OnnxEncoder:
    """An encoder on ONNX Runtime's CPU provider. Thread-safe."""

    def __init__(
        self,
        folder: Path,
        *,
        hidden_size: int,
        shares: Mapping[Width, int],
        memory_bytes: int,
        is_normalized: bool = True,
    ) -> None:
        """Map a packed graph.

        Args:
            folder: what `write_packed` filled.
            hidden_size: H.
            shares: cores of a run, by its width.
            memory_bytes: what the packed weights take; the file also holds them unpacked, unread.
            is_normalized: whether vectors are scaled to length 1.

        Raises:
            EngineError: if the runtime cannot load the graph.
        """
        packed = folder / _PACKED_NAME
        self._guard = Guard(packed, weights_path(packed))
        self.hidden_size = hidden_size
        self.memory_bytes = memory_bytes
        self.is_normalized = is_normalized
        sessions = {n: _session(packed, _packed_options(threads=n)) for n in set(shares.values())}
        self._sessions = {width: sessions[threads] for width, threads in shares.items()}

    def encode(self, microbatch: Microbatch, width: Width) -> FloatArray:
        """Run the model; see `engine.protocol.Encoder`."""
        inputs = graph_inputs(microbatch)
        try:
            (hidden_states,) = self._sessions[width].run(None, inputs)
        except KeyError as error:
            raise EngineError("The model was unloaded.") from error
        except Exception as error:  # the runtime's exceptions share no base class of their own
            raise EngineError(f"ONNX Runtime failed: {error}") from error
        self._guard.check()  # after: what it read was right
        return hidden_states  # type: ignore[no-any-return]  # (T, H)

    def close(self) -> None:
        """Unmap the weights."""
        self._sessions.clear()


def graph_inputs(microbatch: Microbatch) -> dict[str, np.ndarray[Any, Any]]:
    """Lay out the index arrays that carry rows between (T, H) and attention's (B, S, H).

    A row of the rectangle beyond its item's end repeats some token, and is masked by `lengths`.
    """
    lengths = microbatch.lengths  # (B,)
    num_tokens, longest = len(microbatch.token_ids), int(lengths.max())
    starts = np.cumsum(lengths) - lengths  # (B,)
    item_of_token = np.repeat(np.arange(len(lengths)), lengths)  # (T,)
    position_ids = np.arange(num_tokens) - starts[item_of_token]  # (T,)
    pad_index = starts[:, None] + np.arange(longest)[None, :]  # (B, S)
    return {
        "token_ids": microbatch.token_ids,
        "position_ids": position_ids,
        "lengths": lengths.astype(np.int32),
        "pad_index": np.minimum(pad_index, num_tokens - 1),
        "unpad_index": item_of_token * longest + position_ids,  # (T,)
    }


def _packed_options(threads: int) -> onnxruntime.SessionOptions:
    """Load as written: packing again would copy the weights."""
    options = _options(threads)
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return options


def _options(threads: int) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    # The pool's threads must not spin on after a run: another session wants their cores.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return options


def _session(path: Path, options: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
    try:
        return onnxruntime.InferenceSession(path, options, providers=_PROVIDERS)
    except Exception as error:  # the runtime's exceptions share no base class of their own
        raise EngineError(f"ONNX Runtime cannot load {path.name}: {error}") from error
