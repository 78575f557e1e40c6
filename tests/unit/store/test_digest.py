from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from satsuma.errors import DigestMismatchError
from satsuma.store.digest import (
    check_file,
    git_sha1_of,
    remembered_sha256,
    sha256_of,
    write_atomically,
)
from satsuma.store.manifest import FileDigest


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Three bytes."""
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    return path


def test_digests_are_the_published_ones(file: Path) -> None:
    """sha256 is FIPS 180's example; git's is what `git hash-object` prints."""
    assert sha256_of(file) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert git_sha1_of(file) == "f2ba8f84ab5c1bce84a7b441cb1959cfc7093b7f"


def test_check_measures_what_was_not_published(file: Path) -> None:
    """A file that nobody published anything of gets its size and sha256."""
    assert check_file(file, FileDigest("file")) == FileDigest("file", 3, sha256_of(file))


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        (FileDigest("x", size_bytes=4), "x: expected 4 bytes, got 3"),
        (FileDigest("x", sha256="0" * 64), "x: expected sha256 0{64}, got ba7816bf"),
        (FileDigest("x", git_sha1="0" * 40), "x: expected git blob sha1 0{40}, got f2ba8f84"),
    ],
)
def test_mismatch_names_file_expected_and_got(
    file: Path, expected: FileDigest, message: str
) -> None:
    """Each published fact is compared."""
    with pytest.raises(DigestMismatchError, match=message):
        check_file(file, expected)


def test_unchanged_file_is_not_read_again(file: Path, tmp_path: Path) -> None:
    """The second answer comes from memory."""
    memory_dir = tmp_path / "memory"
    remembered_sha256(file, memory_dir)
    (memory,) = memory_dir.iterdir()
    memory.write_text(json.dumps({**json.loads(memory.read_text()), "sha256": "remembered"}))
    assert remembered_sha256(file, memory_dir) == "remembered"


def test_changed_file_is_noticed(file: Path, tmp_path: Path) -> None:
    """Other content of the same length, put there by a rename, is another inode."""
    remembered_sha256(file, tmp_path / "memory")
    other = tmp_path / "other"
    other.write_bytes(b"abd")
    other.replace(file)
    expected = hashlib.sha256(b"abd").hexdigest()
    assert remembered_sha256(file, tmp_path / "memory") == expected


@pytest.mark.parametrize("content", ["", "[]", "{}", "{", "[" * 100_000])
def test_memory_that_makes_no_sense_is_ignored(file: Path, tmp_path: Path, content: str) -> None:
    """The file is hashed again."""
    memory_dir = tmp_path / "memory"
    remembered_sha256(file, memory_dir)
    (memory,) = memory_dir.iterdir()
    memory.write_text(content)
    assert remembered_sha256(file, memory_dir) == sha256_of(file)


def test_memory_that_cannot_be_written_is_no_error(file: Path, tmp_path: Path) -> None:
    """A file stands where the folder would be."""
    (tmp_path / "memory").touch()
    assert remembered_sha256(file, tmp_path / "memory") == sha256_of(file)


def test_failed_write_leaves_nothing(tmp_path: Path) -> None:
    """The temporary file goes when the final name cannot be taken."""
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError, match="taken"):
        write_atomically(tmp_path / "taken", "x")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]
