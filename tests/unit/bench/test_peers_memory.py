"""A process's memory: what of a folder's mapped files is resident."""

from __future__ import annotations

import mmap
import os
import sys
from pathlib import Path

import pytest

from satsuma.bench.peers.memory import read_mapped_bytes, sum_mapped_bytes

SMAPS = """\
7f00-7f01 r--s 00000000 fe:00 16039966                   /models/a model/.graphs/key/weights
Size:             425352 kB
Rss:              344136 kB
Pss:              344136 kB
VmFlags: rd sh mr me ms sd
7f01-7f02 rw-p 00000000 00:00 0
Size:               1000 kB
Rss:                1000 kB
7f02-7f03 r--p 00000000 fe:00 7                          /models/a model/.graphs/key/more (deleted)
Rss:                   4 kB
7f03-7f04 r-xp 00000000 fe:00 9                          /models/a models/lib.so
Rss:                  50 kB
7ffc-7ffd rw-p 00000000 00:00 0                          [stack]
Rss:                  40 kB
"""


def test_only_what_is_resident_of_the_folder_s_files_counts() -> None:
    """Neither the mapping's size, nor other mappings, nor a folder of a longer name."""
    assert sum_mapped_bytes(SMAPS.splitlines(), Path("/models/a model")) == (344136 + 4) * 1024
    assert sum_mapped_bytes(SMAPS.splitlines(), Path("/nowhere")) == 0


def test_a_system_that_does_not_tell(tmp_path: Path) -> None:
    """Is no nought."""
    assert read_mapped_bytes(os.getpid(), Path("/models"), proc=tmp_path) is None


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_pages_that_were_never_read_are_not_resident(tmp_path: Path) -> None:
    """A real mapping counts by what was touched of it."""
    size = 64 << 20
    path = tmp_path / "weights"
    with path.open("wb") as file:
        file.truncate(size)
    with (
        path.open("rb") as weights,
        mmap.mmap(weights.fileno(), 0, access=mmap.ACCESS_READ) as content,
    ):
        assert content[0] == 0
        first = read_mapped_bytes(os.getpid(), tmp_path.resolve())
        assert first is not None
        assert 0 < first < size // 2
        assert content.find(b"x") == -1
        assert read_mapped_bytes(os.getpid(), tmp_path.resolve()) == size
