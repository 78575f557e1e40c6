"""Files that appear as a whole."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import BinaryIO

import pytest

from satsuma.bulk.errors import JobError
from satsuma.bulk.locations import locate
from satsuma.bulk.publish import check_target, is_stream, publish, retract


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    """Through a link, with the old one's mode, and nothing beside it."""
    path, link = tmp_path / "x", tmp_path / "link"
    path.write_text("old")
    path.chmod(0o640)
    link.symlink_to(path)
    publish(locate(str(link)), tmp_path, lambda target: _write(target, b"new"))
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert {one.name for one in tmp_path.iterdir() if not one.is_dir()} == {"x", "link"}


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    """And no half of a new one."""
    path = tmp_path / "x"
    path.write_text("old")

    def fail(target: BinaryIO) -> None:
        target.write(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        publish(locate(str(path)), tmp_path, fail)
    assert path.read_text() == "old"
    assert [one.name for one in tmp_path.iterdir() if one.is_file()] == ["x"]


def test_jobs_of_other_folders_do_not_share_their_halves(tmp_path: Path) -> None:
    """Who writes the same file at once: each puts a whole one in its place."""
    path = tmp_path / "x"

    def write(target: BinaryIO) -> None:
        target.write(b"on")
        publish(locate(str(path)), tmp_path / "two", lambda other: _write(other, b"another"))
        target.write(b"e")

    publish(locate(str(path)), tmp_path / "one", write)
    assert path.read_bytes() == b"one"
    assert [one.name for one in tmp_path.iterdir()] == ["x"]


def test_a_long_name_does_not_become_longer(tmp_path: Path) -> None:
    """While it is written: file systems end at 255 bytes."""
    path = tmp_path / ("x" * 255)
    publish(locate(str(path)), tmp_path, lambda target: _write(target, b"new"))
    assert path.read_bytes() == b"new"


def test_targets_are_looked_at_first(tmp_path: Path) -> None:
    """Before hours of work."""
    with pytest.raises(JobError, match="there is no folder"):
        check_target(locate(str(tmp_path / "none" / "x")))
    with pytest.raises(JobError, match="is a folder"):
        check_target(locate(str(tmp_path)))


def test_devices_are_streams(tmp_path: Path) -> None:
    """Files and what is not there are not."""
    assert is_stream(locate("/dev/null"))
    assert not is_stream(locate(str(tmp_path / "x")))
    assert not is_stream(locate(str(tmp_path)))


def test_retracting_what_is_not_there_is_nothing(tmp_path: Path) -> None:
    """What is there goes."""
    place = locate(str(tmp_path / "x"))
    retract(place)
    (tmp_path / "x").touch()
    retract(place)
    assert not place.exists()


def _write(target: BinaryIO, content: bytes) -> None:
    target.write(content)
