"""Reading a safetensors file by role, one tensor at a time, from a memory map."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ml_dtypes  # noqa: F401  teaches numpy bfloat16, in which some checkpoints are
import numpy as np
import safetensors

from satsuma.engine.architectures import TensorHeader
from satsuma.errors import UnsupportedModelError
from satsuma.types import FloatArray


class Weights:
    """A checkpoint's tensors as float32. The file stays mapped; each call copies one tensor."""

    def __init__(self, path: Path) -> None:
        """Map the file and read its header.

        Raises:
            UnsupportedModelError: if the file is not a whole safetensors file.
        """
        try:
            self._file: Any = safetensors.safe_open(path, framework="numpy")
        except (OSError, safetensors.SafetensorError) as error:
            name = f"{path.parent.name}/{path.name}"  # clients may read this
            reason = str(error).replace(str(path), name)
            raise UnsupportedModelError(
                f"{name} is not a whole safetensors file: {reason}. "
                "Fetch it again, or see `satsuma models verify`."
            ) from error

    @property
    def headers(self) -> dict[str, TensorHeader]:
        """Each tensor's dtype and shape, by name."""
        slices = {name: self._file.get_slice(name) for name in self._file.keys()}  # noqa: SIM118
        return {
            name: TensorHeader(one.get_dtype(), tuple(one.get_shape()))
            for name, one in slices.items()
        }

    def read(self, name: str) -> FloatArray:
        """Return one tensor as float32, in its own shape."""
        tensor: FloatArray = self._file.get_tensor(name).astype(np.float32)
        return tensor
