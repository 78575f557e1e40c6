"""Reading a safetensors file by role, one tensor at a time, from a memory map.

Source: the safetensors format, https://huggingface.co/docs/safetensors
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

from satsuma.engine.architectures import TensorHeader
from satsuma.errors import UnsupportedModelError
from satsuma.types import FloatArray

_MAX_HEADER_BYTES = 100_000_000  # the format's own limit


class Weights:
    """A checkpoint's tensors as float32. The file stays mapped; each call converts one tensor."""

    def __init__(self, path: Path) -> None:
        """Map the file and read its header.

        Raises:
            UnsupportedModelError: if the file is not a whole safetensors file.
        """
        self._path = path
        self._bytes = _map(path)
        self._entries, self._start = _read_header(path, self._bytes)

    @property
    def headers(self) -> dict[str, TensorHeader]:
        """Each tensor's dtype and shape, by name."""
        return {
            name: TensorHeader(entry["dtype"], tuple(entry["shape"]))
            for name, entry in self._entries.items()
        }

    def read(self, name: str) -> FloatArray:
        """Return one tensor as float32; a view of the map where the file holds float32."""
        entry = self._entries[name]
        begin, end = (self._start + offset for offset in entry["data_offsets"])
        raw = self._bytes[begin:end]
        return _to_float32(raw, entry["dtype"]).reshape(entry["shape"])


def _map(path: Path) -> np.memmap[Any, np.dtype[np.uint8]]:
    try:
        return np.memmap(path, dtype=np.uint8, mode="r")
    except ValueError as error:  # an empty file cannot be mapped
        raise _damaged(path) from error


def _read_header(
    path: Path, content: np.memmap[Any, np.dtype[np.uint8]]
) -> tuple[dict[str, Any], int]:
    """Parse the header and check that every tensor lies inside the file."""
    try:
        (header_bytes,) = struct.unpack("<Q", content[:8].tobytes())
        if header_bytes > min(len(content) - 8, _MAX_HEADER_BYTES):
            raise _damaged(path)
        entries = json.loads(content[8 : 8 + header_bytes].tobytes())
        entries.pop("__metadata__", None)
        ends = [entry["data_offsets"][1] for entry in entries.values()]
    except (struct.error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(path) from error
    if 8 + header_bytes + max(ends, default=0) != len(content):
        raise _damaged(path)
    return entries, 8 + header_bytes


def _damaged(path: Path) -> UnsupportedModelError:
    return UnsupportedModelError(
        f"{path} is not a whole safetensors file. Fetch it again, or see `satsuma models verify`."
    )


def _to_float32(raw: np.ndarray[Any, np.dtype[np.uint8]], dtype: str) -> FloatArray:
    if dtype == "F16":
        return raw.view("<f2").astype(np.float32)
    if dtype == "BF16":  # the upper half of a float32
        return (raw.view("<u2").astype(np.uint32) << 16).view(np.float32)
    return np.asarray(raw).view("<f4")
