"""Reading PyTorch's own files, of which nothing is executed.

Such a file is a zip archive: a pickle that says where each tensor lies, and the tensors' bytes. A
pickle may name functions to call, which is how a harmful one does harm. `unpickling.py` reads this
one, and knows a dozen names, all of them records of ours.

Source: https://docs.pytorch.org/docs/stable/notes/serialization.html
"""

from __future__ import annotations

import math
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import ml_dtypes
import numpy as np

from satsuma.engine.architectures.tensors import TensorHeader
from satsuma.engine.unpickling import Names, unpickle
from satsuma.errors import UnsupportedModelError
from satsuma.types import FloatArray

# Storage in PyTorch's words -> dtype in safetensors' and in numpy's.
_STORAGES: dict[str, tuple[str, Any]] = {
    "FloatStorage": ("F32", np.dtype("<f4")),
    "HalfStorage": ("F16", np.dtype("<f2")),
    "BFloat16Storage": ("BF16", np.dtype(ml_dtypes.bfloat16)),
    "DoubleStorage": ("F64", np.dtype("<f8")),
    "LongStorage": ("I64", np.dtype("<i8")),
    "IntStorage": ("I32", np.dtype("<i4")),
    "BoolStorage": ("BOOL", np.dtype("?")),
    "ByteStorage": ("U8", np.dtype("u1")),
}
_MOST_VALUES: Final = 1 << 48  # of a tensor; more than any disk holds
_MOST_AXES: Final = 8


class _Storage(NamedTuple):
    """Values of one kind, and the archive's entry that has their bytes."""

    kind: str
    entry: str


@dataclass(frozen=True, slots=True)
class _Stored:
    """Where a tensor lies: an entry of the archive, and a part of it."""

    dtype: str
    kind: Any
    entry: str
    start: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def is_contiguous(self) -> bool:
        """Whether its values lie in the order of its shape."""
        steps = [math.prod(self.shape[axis + 1 :]) for axis in range(len(self.shape))]
        axes = zip(self.shape, self.strides, steps, strict=True)
        return all(size == 1 or stride == step for size, stride, step in axes)


class PickledTensors:
    """The tensors of a `pytorch_model.bin`. Each read copies one."""

    def __init__(self, path: Path) -> None:
        """Open the archive and read where the tensors are.

        Raises:
            UnsupportedModelError: if it is not such a file, or holds more than tensors.
        """
        name = f"{path.parent.name}/{path.name}"  # clients may read this
        try:
            self._archive = zipfile.ZipFile(path)
            _refuse_compressed(self._archive)
            (index,) = [one for one in self._archive.namelist() if one.endswith("data.pkl")]
            self._folder = index.removesuffix("data.pkl")
            found = unpickle(self._archive.read(index), _NAMES, _find_storage)
        except UnsupportedModelError as error:
            raise UnsupportedModelError(f"{name} {error}") from error
        except Exception as error:  # a damaged archive may raise anything
            raise UnsupportedModelError(
                f"{name} is not a whole file of PyTorch 1.6 or later: {error!r}. "
                "Fetch it again, or ask its author for safetensors."
            ) from error
        stored = found.items() if isinstance(found, dict) else ()
        self._stored = {str(key): one for key, one in stored if isinstance(one, _Stored)}

    def headers(self) -> dict[str, TensorHeader]:
        """Each tensor's dtype and shape, by name."""
        return {name: TensorHeader(one.dtype, one.shape) for name, one in self._stored.items()}

    def read(self, name: str) -> FloatArray:
        """Return one tensor as float32, in its own shape.

        Raises:
            UnsupportedModelError: if its bytes are damaged, too few, or lie in another order.
        """
        one = self._stored[name]
        if not one.is_contiguous:
            raise UnsupportedModelError(f"Tensor {name} does not lie in the order of its shape.")
        try:
            content = self._archive.read(f"{self._folder}data/{one.entry}")
        except Exception as error:  # as above
            raise UnsupportedModelError(f"Tensor {name} cannot be read: {error}") from error
        count, width = math.prod(one.shape), one.kind.itemsize
        part = content[one.start * width : (one.start + count) * width]
        if len(part) != count * width:
            raise UnsupportedModelError(f"Tensor {name} cannot be read: it has too few bytes.")
        values = np.frombuffer(part, one.kind) if count else np.empty(0, one.kind)
        tensor: FloatArray = values.reshape(one.shape).astype(np.float32)
        return tensor


def _refuse_compressed(archive: zipfile.ZipFile) -> None:
    """Refuse what PyTorch never writes: a few compressed bytes may become any number of them."""
    if any(one.compress_type != zipfile.ZIP_STORED for one in archive.infolist()):
        raise UnsupportedModelError("is compressed, as PyTorch's files never are, and is not read.")


def _find_storage(persistent_id: Any) -> _Storage:
    """Note a storage: its kind, and its entry in the archive."""
    _, kind, entry, *_ = persistent_id
    if not (isinstance(kind, str) and isinstance(entry, str) and kind in _STORAGES):
        raise ValueError("a storage of no known kind")
    return _Storage(kind, entry)


def _make_dict() -> dict[Any, Any]:
    return {}


def _note_tensor(storage: Any, start: Any, shape: Any, strides: Any, *_: Any) -> _Stored:
    """Note where a tensor lies, once its numbers are such as a tensor can have."""
    is_possible = (
        isinstance(storage, _Storage)
        and all(map(_are_sizes, ((start,), shape, strides)))
        and len(shape) == len(strides) <= _MOST_AXES
        and math.prod(shape) <= _MOST_VALUES
    )
    if not is_possible:
        raise ValueError("a tensor of an impossible shape")
    return _Stored(*_STORAGES[storage.kind], storage.entry, start, shape, strides)


def _are_sizes(values: Any) -> bool:
    is_tuple = isinstance(values, tuple)
    return is_tuple and all(type(one) is int and 0 <= one <= _MOST_VALUES for one in values)


def _note_parameter(tensor: Any, *_: Any) -> _Stored:
    if not isinstance(tensor, _Stored):
        raise TypeError("a parameter that is no tensor")
    return tensor


_NAMES: Final[Names] = {
    ("collections", "OrderedDict"): _make_dict,
    ("torch._utils", "_rebuild_tensor_v2"): _note_tensor,
    ("torch._utils", "_rebuild_parameter"): _note_parameter,
    **{("torch", name): name for name in _STORAGES},
}
