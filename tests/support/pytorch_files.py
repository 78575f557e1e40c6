"""Files as PyTorch writes them, without PyTorch: a zip of a pickle and of each tensor's bytes.

Source: https://docs.pytorch.org/docs/stable/notes/serialization.html; the opcodes are those of
Python's pickletools.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from satsuma.types import FloatArray


def write_tensors(path: Path, tensors: Mapping[str, FloatArray]) -> Path:
    """Write float32 tensors by name."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", _pickled(tensors))
        for entry, tensor in enumerate(tensors.values()):
            content = np.ascontiguousarray(tensor, dtype="<f4").tobytes()
            archive.writestr(f"archive/data/{entry}", content)
    return path


def _pickled(tensors: Mapping[str, FloatArray]) -> bytes:
    members = (
        _text(name) + _tensor(entry, tensor.shape)
        for entry, (name, tensor) in enumerate(tensors.items())
    )
    return b"\x80\x02}(" + b"".join(members) + b"u."  # protocol 2, a dict of these


def _tensor(entry: int, shape: tuple[int, ...]) -> bytes:
    """Call `_rebuild_tensor_v2(storage, offset, shape, strides, requires_grad, hooks)`."""
    strides = tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
    kind, size = b"ctorch\nFloatStorage\n", _number(math.prod(shape))
    place = b"(" + _text("storage") + kind + _text(str(entry)) + _text("cpu") + size + b"tQ"
    hooks = b"ccollections\nOrderedDict\n)R"
    arguments = place + _number(0) + _tuple(shape) + _tuple(strides) + b"\x89" + hooks
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + arguments + b"tR"


def _tuple(numbers: tuple[int, ...]) -> bytes:
    return b"(" + b"".join(map(_number, numbers)) + b"t"


def _number(value: int) -> bytes:
    return b"J" + value.to_bytes(4, "little")


def _text(value: str) -> bytes:
    return b"X" + len(value.encode()).to_bytes(4, "little") + value.encode()
