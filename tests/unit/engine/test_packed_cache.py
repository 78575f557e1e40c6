"""The packed weights' cache: built once, atomic, rebuilt when damaged."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from satsuma.engine.packed_cache import cache_key, open_packed
from satsuma.errors import DiskFullError, StoreError
from satsuma.types import Precision

PACKED_NAME = "packed"


class Builder:
    """Writes two files and counts how often."""

    def __init__(self) -> None:
        """Start at zero."""
        self.num_builds = 0

    def __call__(self, folder: Path) -> None:
        """Build."""
        self.num_builds += 1
        (folder / PACKED_NAME).write_bytes(b"graph")
        (folder / f"{PACKED_NAME}.weights").write_bytes(bytes(range(256)) * 40 + b"tail")


def test_a_graph_is_built_once(tmp_path: Path) -> None:
    """The second start finds it."""
    build = Builder()
    first = open_packed(tmp_path / "graphs", "key", build)
    assert open_packed(tmp_path / "graphs", "key", build) == first
    assert (first / PACKED_NAME).read_bytes() == b"graph"
    assert build.num_builds == 1


@pytest.mark.parametrize("damage", ["truncate", "flip", "delete", "record", "nesting", "extra"])
def test_a_damaged_graph_is_rebuilt(tmp_path: Path, damage: str) -> None:
    """Whatever happened to it, the next start has a whole one."""
    build = Builder()
    weights = open_packed(tmp_path, "key", build) / f"{PACKED_NAME}.weights"
    content = bytearray(weights.read_bytes())
    if damage == "truncate":
        weights.write_bytes(content[:-5])
    elif damage == "flip":
        content[5000] ^= 1
        weights.write_bytes(content)
    elif damage == "delete":
        weights.unlink()
    elif damage == "record":
        (weights.parent / "packed.json").write_text("{")
    elif damage == "nesting":
        (weights.parent / "packed.json").write_text("[" * 100_000)
    else:
        (weights.parent / "more").write_bytes(b"x")
    open_packed(tmp_path, "key", build)
    assert build.num_builds == 2
    assert weights.stat().st_size == 256 * 40 + 4


def test_a_failed_build_leaves_nothing(tmp_path: Path) -> None:
    """A full disk says so, and the next start builds."""

    def fail(folder: Path) -> None:
        (folder / PACKED_NAME).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(DiskFullError, match="No space left"):
        open_packed(tmp_path, "key", fail)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []


def test_a_folder_that_cannot_be_written_is_not_a_full_disk(tmp_path: Path) -> None:
    """The message is the system's own."""

    def fail(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    with pytest.raises(StoreError, match="Permission denied") as caught:
        open_packed(tmp_path, "key", fail)
    assert not isinstance(caught.value, DiskFullError)


def test_a_killed_build_is_cleaned_up(tmp_path: Path) -> None:
    """Its staging folder goes when the next one of its key builds; another key's stays."""
    for name in (".building-key-1", ".building-other-1"):
        (tmp_path / name).mkdir()
    open_packed(tmp_path, "key", Builder())
    assert not (tmp_path / ".building-key-1").exists()
    assert (tmp_path / ".building-other-1").exists()


def test_a_build_that_cannot_fit_is_not_begun(tmp_path: Path) -> None:
    """The message says what is needed and what is free."""
    build = Builder()
    with pytest.raises(DiskFullError, match=r"needs 1000000000 MB .* MB free"):
        open_packed(tmp_path, "key", build, needed_bytes=10**15)
    assert build.num_builds == 0


def test_two_at_once_build_once(tmp_path: Path) -> None:
    """The second waits for the first and uses its graph."""
    build = Builder()
    threads = [
        threading.Thread(target=open_packed, args=(tmp_path, "key", build)) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert build.num_builds == 1


def test_the_key_tells_apart_all_that_the_bytes_depend_on() -> None:
    """Weights, config, graph version, runtime version, precision and instruction sets."""
    parts = ("config", 1, "runtime 1", ("avx2",))
    changed = [(*parts[:i], "other", *parts[i + 1 :]) for i in range(len(parts))]
    keys = {cache_key("a" * 64, Precision.FP32, *others) for others in (parts, *changed)}
    keys.add(cache_key("b" * 64, Precision.FP32, *parts))
    assert len(keys) == 6


def test_graphs_that_nobody_uses_any_more_go(tmp_path: Path) -> None:
    """After weeks, when the same weights get a new one; others, and used ones, stay."""
    old, used, other = "w1-v1-fp32-a", "w1-v1-fp32-b", "w2-v1-fp32-c"
    for key in (old, used, other):
        record = open_packed(tmp_path, key, Builder()) / "packed.json"
        os.utime(record, (0, 0))
    open_packed(tmp_path, used, Builder())
    open_packed(tmp_path, "w1-v2-fp32-d", Builder())
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {
        used,
        other,
        "w1-v2-fp32-d",
    }
