"""An Encoder over a program and one processor's kernels."""

from __future__ import annotations

import ctypes
import itertools
import mmap
from ctypes import byref, c_int64, c_void_p
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from satsuma.engine.guard import Guard
from satsuma.engine.native.crews import Crew, Crews
from satsuma.engine.native.library import (
    BatchStruct,
    Kernels,
    Operation,
    StepStruct,
    load_library,
)
from satsuma.engine.native.packing import round_up
from satsuma.engine.native.program import NOTHING, WEIGHTS_NAME, Program
from satsuma.engine.protocol import Microbatch, Width
from satsuma.errors import EngineError
from satsuma.types import ByteArray, FloatArray

_CACHE_LINE_BYTES = 64
_CACHE_LINE_FLOATS = _CACHE_LINE_BYTES // 4
_POINTERS = ("weight", "bias", "scale", "column_sum")
_PRODUCTS = (Operation.LINEAR, Operation.LINEAR_INT8)


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A program's steps, and the mapping that their addresses lie in."""

    weights: ByteArray
    steps: ctypes.Array[StepStruct]


class NativeEncoder:
    """An encoder on the C kernels. Thread-safe."""

    def __init__(self, folder: Path, *, crews: Crews, kernels: Kernels) -> None:
        """Map a program.

        Args:
            folder: what `write_program` filled.
            crews: threads for its runs.
            kernels: those that the program was written for.

        Raises:
            EngineError: if the library or the program cannot be loaded.
        """
        self._program = Program.read(folder)
        self._library, self._kernels = load_library(), kernels.struct
        self._guard = Guard(folder / WEIGHTS_NAME)
        weights = _map(folder / WEIGHTS_NAME)
        self._loaded: _Loaded | None = _Loaded(weights, _bind(self._program, weights))
        self._crews = crews
        columns = self._kernels.panel_columns
        self._strides = [spread(round_up(w, columns)) for w in self._program.widths]
        self.hidden_size = self._program.widths[-1]
        is_product = self._program.steps[-1].operation in _PRODUCTS  # which writes whole panels
        self._strides[-1] = round_up(self.hidden_size, columns if is_product else 1)
        self._stride_array = (c_int64 * len(self._strides))(*self._strides)
        self.memory_bytes = weights.nbytes
        self.is_normalized = True

    def encode(self, microbatch: Microbatch, width: Width) -> FloatArray:
        """Run the model; see `engine.protocol.Encoder`."""
        loaded = self._loaded  # held for the whole run: C reads what it maps
        if loaded is None:
            raise EngineError("The model was unloaded.")
        self._check(microbatch)
        output = np.empty((len(microbatch.token_ids), self._strides[-1]), np.float32)
        self._crews.lend(width, partial(self._run, loaded.steps, microbatch, output))
        self._guard.check()  # after: what it read was right
        return output[:, : self.hidden_size]  # (T, H)

    def close(self) -> None:
        """Let go of the weights; the last run that still reads them unmaps them."""
        self._loaded = None

    def _check(self, microbatch: Microbatch) -> None:
        """Refuse what would read beyond a table; C checks nothing."""
        ids, longest = microbatch.token_ids, int(microbatch.lengths.max())
        if int(ids.min()) < 0 or int(ids.max()) >= self._program.vocab_size:
            raise EngineError(f"A token id is beyond the vocabulary of {self._program.vocab_size}.")
        if longest > self._program.max_positions:
            raise EngineError(f"{longest} tokens, and {self._program.max_positions} positions.")

    def _run(
        self,
        steps: ctypes.Array[StepStruct],
        microbatch: Microbatch,
        output: FloatArray,
        crew: Crew,
    ) -> None:
        token_ids = np.ascontiguousarray(microbatch.token_ids, dtype=np.int64)  # (T,)
        starts = np.zeros(len(microbatch.lengths) + 1, np.int64)  # (B + 1,)
        np.cumsum(microbatch.lengths, out=starts[1:])
        places = self._place_buffers(len(token_ids))
        scratch_bytes = self._scratch_bytes(steps, microbatch)
        workspace = crew.take_workspace(
            places[-1] + crew.num_workers * scratch_bytes + _CACHE_LINE_BYTES
        )
        base = round_up(workspace.ctypes.data, _CACHE_LINE_BYTES)
        buffers = (c_void_p * len(places))(*(base + p for p in places[:-1]), output.ctypes.data)
        batch = BatchStruct(
            num_tokens=len(token_ids),
            num_items=len(microbatch.lengths),
            token_ids=token_ids.ctypes.data,
            starts=starts.ctypes.data,
            buffers=ctypes.addressof(buffers),
            strides=ctypes.addressof(self._stride_array),
            scratch=base + places[-1],
            scratch_bytes=scratch_bytes,
        )
        self._library.run_program(
            crew.helpers, byref(self._kernels), steps, len(steps), byref(batch)
        )

    def _place_buffers(self, num_tokens: int) -> list[int]:
        """Lay the buffers one after another: where each begins, and where the last one ends."""
        sizes = [num_tokens * stride * 4 for stride in self._strides[:-1]]
        return list(itertools.accumulate(sizes, initial=0))  # whole cache lines, as strides are

    def _scratch_bytes(self, steps: ctypes.Array[StepStruct], microbatch: Microbatch) -> int:
        """Ask how much a worker needs for itself."""
        longest, num_tokens = int(microbatch.lengths.max()), len(microbatch.token_ids)
        size: int = self._kernels.scratch_bytes(steps, len(steps), longest, num_tokens)
        return size


def spread(stride: int) -> int:
    """Make a row an odd number of cache lines long.

    Rows of 12,288 bytes share 16 of a second-level cache's 1,024 sets, and evict each other.
    """
    lines = round_up(stride, _CACHE_LINE_FLOATS) // _CACHE_LINE_FLOATS
    return (lines | 1) * _CACHE_LINE_FLOATS


def _map(path: Path) -> ByteArray:
    with path.open("rb") as file:
        return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)


def _bind(program: Program, weights: ByteArray) -> ctypes.Array[StepStruct]:
    """Turn places in the file into addresses."""
    base = weights.ctypes.data
    steps = (StepStruct * len(program.steps))()
    for struct, step in zip(steps, program.steps, strict=True):
        for name, value in asdict(step).items():
            is_place = name in _POINTERS and value != NOTHING
            setattr(
                struct, name, base + value if is_place else None if name in _POINTERS else value
            )
    return steps
