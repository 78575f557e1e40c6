"""A model's tensors by name, from the files that hold them, one tensor at a time."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any, Protocol

import ml_dtypes  # noqa: F401  teaches numpy bfloat16, in which some checkpoints are
import numpy as np
import safetensors

from satsuma.engine.architectures.tensors import TensorHeader
from satsuma.engine.pickled import PickledTensors
from satsuma.errors import UnsupportedModelError
from satsuma.store.manifest import WEIGHTS_FILES
from satsuma.types import FloatArray


class _Tensors(Protocol):
    """One file's tensors."""

    def headers(self) -> dict[str, TensorHeader]: ...

    def read(self, name: str) -> FloatArray: ...


class Weights:
    """A model's tensors as float32. The files stay open; each call copies one tensor."""

    def __init__(self, path: Path, modules: Collection[str] = ()) -> None:
        """Open the files and read their headers.

        Args:
            path: the checkpoint, safetensors or PyTorch's own.
            modules: folders beside it, whose tensors are named `<folder>/<tensor>`.

        Raises:
            UnsupportedModelError: if a file is damaged, or not of these kinds.
        """
        self._files = {"": _open(path)}
        self._files |= {f"{one}/": _open(find_module(path.parent / one)) for one in modules}

    @property
    def headers(self) -> dict[str, TensorHeader]:
        """Each tensor's dtype and shape, by name."""
        return {
            prefix + name: header
            for prefix, file in self._files.items()
            for name, header in file.headers().items()
        }

    def read(self, name: str) -> FloatArray:
        """Return one tensor as float32, in its own shape."""
        folder, slash, rest = name.rpartition("/")
        return self._files[folder + slash].read(rest)


class _SafeTensors:
    """The tensors of a `model.safetensors`, mapped."""

    def __init__(self, path: Path) -> None:
        try:
            self._file: Any = safetensors.safe_open(path, framework="numpy")
        except (OSError, safetensors.SafetensorError) as error:
            name = f"{path.parent.name}/{path.name}"  # clients may read this
            reason = str(error).replace(str(path), name)
            raise UnsupportedModelError(
                f"{name} is not a whole safetensors file: {reason}. "
                "Fetch it again, or see `satsuma models verify`."
            ) from error

    def headers(self) -> dict[str, TensorHeader]:
        slices = {name: self._file.get_slice(name) for name in self._file.keys()}  # noqa: SIM118
        return {
            name: TensorHeader(one.get_dtype(), tuple(one.get_shape()))
            for name, one in slices.items()
        }

    def read(self, name: str) -> FloatArray:
        tensor: FloatArray = self._file.get_tensor(name).astype(np.float32)
        return tensor


def _open(path: Path) -> _Tensors:
    return PickledTensors(path) if path.suffix == ".bin" else _SafeTensors(path)


def find_module(folder: Path) -> Path:
    """Find a module's weights in its folder; it need not have any."""
    files = [folder / name for name in WEIGHTS_FILES]
    return next((file for file in files if file.is_file()), files[0])
