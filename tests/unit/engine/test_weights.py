"""Reading safetensors, whole and hostile."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from satsuma.engine.weights import Weights
from satsuma.errors import UnsupportedModelError

VALUES = np.array([[1.5, -2.0], [0.25, 3.0]], dtype=np.float32)


def test_float32_is_read_as_it_is(tmp_path: Path) -> None:
    """Shapes and values survive, and the header names them."""
    save_file({"a": VALUES, "b": VALUES[0]}, tmp_path / "w", metadata={"format": "pt"})
    weights = Weights(tmp_path / "w")
    assert weights.headers["a"].shape == (2, 2)
    assert set(weights.headers) == {"a", "b"}
    np.testing.assert_array_equal(weights.read("a"), VALUES)


def test_half_precision_becomes_float32(tmp_path: Path) -> None:
    """F16 and BF16 checkpoints of exactly representable values."""
    save_file({"a": VALUES.astype(np.float16)}, tmp_path / "w")
    np.testing.assert_array_equal(Weights(tmp_path / "w").read("a"), VALUES)
    raw = (VALUES.view(np.uint32) >> 16).astype("<u2").tobytes()
    header = {"a": {"dtype": "BF16", "shape": [2, 2], "data_offsets": [0, 8]}}
    write(tmp_path / "b", json.dumps(header).encode(), raw)
    read = Weights(tmp_path / "b").read("a")
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, VALUES)


def write(path: Path, header: bytes, body: bytes) -> None:
    """Write a file of this header."""
    path.write_bytes(struct.pack("<Q", len(header)) + header + body)


@pytest.mark.parametrize(
    ("header", "body"),
    [
        (b"{", b""),
        (b"[1]", b""),
        (b'{"a": {"dtype": "F32", "shape": [2]}}', b"12345678"),
        (b'{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}', b"1234"),
        (b'{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, "x"]}}', b"1234"),
        (b'{"a": 7}', b""),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, header: bytes, body: bytes) -> None:
    """The message names the file and says what to do."""
    write(tmp_path / "w", header, body)
    with pytest.raises(UnsupportedModelError, match=r"(?s)not a whole safetensors file.*verify"):
        Weights(tmp_path / "w")


@pytest.mark.parametrize("content", [b"", b"123", struct.pack("<Q", 2**60) + b"{}"])
def test_a_file_of_nothing_is_refused(tmp_path: Path, content: bytes) -> None:
    """Empty, too short, or with a header that claims to be larger than the file."""
    (tmp_path / "w").write_bytes(content)
    with pytest.raises(UnsupportedModelError):
        Weights(tmp_path / "w")


def test_the_folder_is_not_told(tmp_path: Path) -> None:
    """HTTP clients may read the message."""
    with pytest.raises(UnsupportedModelError, match=f"{tmp_path.name}/gone is not") as caught:
        Weights(tmp_path / "gone")
    assert str(tmp_path) not in str(caught.value)
