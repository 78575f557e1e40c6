"""PyTorch's own files: what is in them, and that nothing in them is executed."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from satsuma.engine.architectures.tensors import TensorHeader
from satsuma.engine.pickled import PickledTensors
from satsuma.engine.weights import Weights
from satsuma.errors import UnsupportedModelError

# Saved by PyTorch itself: scripts/golden_families.py.
SAVED = Path(__file__).resolve().parents[2] / "golden" / "tensors.bin"
TABLE = np.arange(24, dtype=np.float32).reshape(6, 4)


def write_archive(path: Path, index: bytes) -> Path:
    """Write an archive of PyTorch's form around a pickle."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", index)
    return path


def test_headers_are_told_without_reading_tensors() -> None:
    """Names, dtypes as safetensors spells them, and shapes."""
    headers = PickledTensors(SAVED).headers()
    assert headers["half"] == TensorHeader("F16", (6, 4))
    assert {name: one.dtype for name, one in headers.items() if name != "half"} == {
        "single": "F32",
        "brain": "BF16",
        "parameter": "F32",
        "part": "F32",
        "turned": "F32",
        "ids": "I64",
        "empty": "F32",
    }


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("single", TABLE),
        ("half", TABLE),
        ("brain", TABLE),
        ("parameter", TABLE * 2),
        ("part", TABLE[2:4]),
    ],
)
def test_tensors_are_what_pytorch_saved(name: str, expected: np.ndarray) -> None:
    """As float32, in every dtype; also a part of a larger storage."""
    np.testing.assert_array_equal(Weights(SAVED).read(name), expected)


def test_a_tensor_in_another_order_is_refused() -> None:
    """A transposed view would come out scrambled."""
    with pytest.raises(UnsupportedModelError, match="turned does not lie in the order"):
        PickledTensors(SAVED).read("turned")


class _Harmful:
    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.place,))


def test_nothing_is_executed(tmp_path: Path) -> None:
    """A name that is not a tensor's is refused before it is called."""
    harm = tmp_path / "harm"
    path = write_archive(tmp_path / "pytorch_model.bin", pickle.dumps({"w": _Harmful(harm)}))
    with pytest.raises(UnsupportedModelError, match="could run code, and is not read"):
        Weights(path)
    assert not harm.exists()


@pytest.mark.parametrize("content", [b"", b"not a zip", pickle.dumps({}, protocol=2)])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    """Also PyTorch's form from before 1.6, which is a bare pickle."""
    path = tmp_path / "pytorch_model.bin"
    path.write_bytes(content)
    with pytest.raises(UnsupportedModelError, match="not a whole file of PyTorch"):
        Weights(path)


def write_tensor(path: Path, shape: Any, *, num_values: int = 4, **options: Any) -> Path:
    """Write an archive of one tensor `w` of this shape, as PyTorch 1.6 and later do."""
    steps = [b"\x80\x02}X\x01\x00\x00\x00w", b"ctorch._utils\n_rebuild_tensor_v2\n(("]
    steps += [_text("storage"), b"ctorch\nFloatStorage\n", _text("0"), _text("cpu")]
    steps += [b"K\x04tQK\x00"]
    steps += [shape, b"K\x01\x85", b"\x89ccollections\nOrderedDict\n)Rt", b"Rs", b"."]
    with zipfile.ZipFile(path, "w", **options) as archive:
        archive.writestr("archive/data.pkl", b"".join(steps))
        archive.writestr("archive/data/0", np.arange(num_values, dtype="<f4").tobytes())
    return path


def _text(text: str) -> bytes:
    return b"X" + len(text).to_bytes(4, "little") + text.encode()


def test_a_written_tensor_is_read(tmp_path: Path) -> None:
    """What the tests below damage is whole without them."""
    weights = Weights(write_tensor(tmp_path / "pytorch_model.bin", b"K\x04\x85"))
    np.testing.assert_array_equal(weights.read("w"), np.arange(4))


NESTED = b")" + b"\x85" * 300_000  # tuples within tuples


@pytest.mark.parametrize(
    "index",
    [
        b"\x80\x02}" + NESTED + b"Ns.",  # as a key, whose hash would look inside
        b"\x80\x02" + NESTED + b"Q.",
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n" + NESTED + b"R.",
    ],
)
def test_nesting_does_not_end_the_process(tmp_path: Path, index: bytes) -> None:
    """Python's own reader dies of the first, with no exception to catch."""
    path = write_archive(tmp_path / "pytorch_model.bin", index)
    with pytest.raises(UnsupportedModelError, match="not a whole file of PyTorch"):
        Weights(path)


@pytest.mark.parametrize(
    "index",
    [
        b"",
        b"\x80",
        b"\x80\x02",
        b".",
        b"R.",
        b"(t",
        b"\x80\x02q\x00.",
        b"h\x07.",
        b"\x80\x02}K\x00b",
    ],
)
def test_a_pickle_that_ends_or_begins_wrongly_is_refused(tmp_path: Path, index: bytes) -> None:
    """What is taken has to be there."""
    with pytest.raises(UnsupportedModelError, match="not a whole file of PyTorch"):
        Weights(write_archive(tmp_path / "pytorch_model.bin", index))


def test_a_state_that_is_set_on_a_record_of_ours_changes_nothing(tmp_path: Path) -> None:
    """A pickle may set attributes of what it names; here they are left out."""
    name = b"ctorch._utils\n_rebuild_tensor_v2\n"
    index = b"\x80\x02" + name + b"}" + _text("__defaults__") + b"K\x01sb0}."
    path = write_archive(tmp_path / "pytorch_model.bin", index)
    with pytest.raises(UnsupportedModelError, match="the step POP"):
        Weights(path)
    whole = Weights(write_tensor(tmp_path / "whole.bin", b"K\x04\x85"))
    np.testing.assert_array_equal(whole.read("w"), np.arange(4))


@pytest.mark.parametrize(
    "shape",
    [
        b"J\xff\xff\xff\xff\x85",  # -1
        b"\x8a\x09" + b"\xff" * 8 + b"\x00\x85",  # 2 ** 64 - 1
        b"N\x85",
        b"K\x04",
        b"G\x40\x10\x00\x00\x00\x00\x00\x00\x85",  # 4.0
        b"(" + b"K\x01" * 100 + b"t",
    ],
)
def test_a_shape_that_no_tensor_has_is_refused(tmp_path: Path, shape: bytes) -> None:
    """It would be trusted by all that follows."""
    with pytest.raises(UnsupportedModelError, match="impossible shape"):
        Weights(write_tensor(tmp_path / "pytorch_model.bin", shape))


def test_a_tensor_of_too_few_bytes_is_refused(tmp_path: Path) -> None:
    """Its shape promises more than the archive has."""
    path = write_tensor(tmp_path / "pytorch_model.bin", b"K\x04\x85", num_values=3)
    with pytest.raises(UnsupportedModelError, match="too few bytes"):
        Weights(path).read("w")


def test_a_tensor_of_nothing_is_read() -> None:
    """PyTorch saves such."""
    assert Weights(SAVED).read("empty").shape == (0,)


def test_compression_is_refused(tmp_path: Path) -> None:
    """A few kilobytes could become any number of gigabytes."""
    path = write_tensor(
        tmp_path / "pytorch_model.bin", b"K\x04\x85", compression=zipfile.ZIP_DEFLATED
    )
    with pytest.raises(UnsupportedModelError, match="is compressed"):
        Weights(path)


def test_a_damaged_tensor_is_noticed(tmp_path: Path) -> None:
    """The archive has a checksum of each."""
    content = bytearray(SAVED.read_bytes())
    place = bytes(content).index(TABLE.tobytes())
    content[place] ^= 1
    path = tmp_path / "pytorch_model.bin"
    path.write_bytes(content)
    with pytest.raises(UnsupportedModelError, match="cannot be read"):
        Weights(path).read("single")


def test_modules_have_files_of_their_own(tmp_path: Path) -> None:
    """A dense layer's tensors come from its folder, in either format."""
    save_file({"w": TABLE}, tmp_path / "model.safetensors")
    (tmp_path / "2_Dense").mkdir()
    (tmp_path / "2_Dense" / "pytorch_model.bin").write_bytes(SAVED.read_bytes())
    weights = Weights(tmp_path / "model.safetensors", ["2_Dense"])
    assert weights.headers["2_Dense/half"].shape == (6, 4)
    np.testing.assert_array_equal(weights.read("w"), weights.read("2_Dense/single"))
