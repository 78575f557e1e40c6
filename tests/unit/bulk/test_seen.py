"""The filter in front of the index."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from satsuma.bulk import seen
from satsuma.bulk.repeats import digest_text
from satsuma.bulk.seen import SeenFilter

DIGESTS = [digest_text(str(number)) for number in range(2000)]


def test_what_was_added_is_always_found(tmp_path: Path) -> None:
    """By another that opens the file, too."""
    SeenFilter(tmp_path / "x").add(DIGESTS)
    assert all(SeenFilter(tmp_path / "x").may_have(DIGESTS))


def test_what_was_not_is_nearly_never(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand digests in 4 kB: as rarely as the arithmetic says."""
    monkeypatch.setattr(seen, "_NUM_BYTES", 1 << 12)
    some = SeenFilter(tmp_path / "x")
    some.add(DIGESTS[:1000])
    wrong = sum(some.may_have(DIGESTS[1000:]))
    assert wrong / 1000 < 0.01


def test_nothing_is_nothing(tmp_path: Path) -> None:
    """An empty window asks for nothing, and adds nothing."""
    some = SeenFilter(tmp_path / "x")
    some.add([])
    assert some.may_have([]) == []
    assert not any(some.may_have(DIGESTS))


def test_a_file_of_another_size_is_begun_anew(tmp_path: Path) -> None:
    """It was cut short."""
    (tmp_path / "x").write_bytes(b"\xff" * 10)
    assert not any(SeenFilter(tmp_path / "x").may_have(DIGESTS))


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="macOS cannot ask for room")
def test_its_room_is_taken_at_once(tmp_path: Path) -> None:
    """On a full disk, that is an error; a page that finds no room later would end the process."""
    SeenFilter(tmp_path / "x")
    told = (tmp_path / "x").stat()
    assert told.st_blocks * 512 >= told.st_size == 1 << 25


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="macOS cannot ask for room")
def test_no_room_leaves_no_filter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the file, and the next run begins it anew."""

    def refuse(*_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    with pytest.raises(OSError, match=f"No space left on device: '{tmp_path / 'x'}'"):
        SeenFilter(tmp_path / "x")
    assert not (tmp_path / "x").exists()
