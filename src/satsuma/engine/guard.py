"""Whether mapped weights are still those that were checked when they were mapped.

A mapping shows what is written into its file, so a disk that is written to under a running server
would change vectors without a word. Files that are deleted or replaced are no danger: the mapping
keeps the old one.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from satsuma.errors import WeightsChangedError


class _Identity(NamedTuple):
    """A file, and which of its contents."""

    device: int
    inode: int
    size_bytes: int
    modified_ns: int

    @property
    def file(self) -> tuple[int, int]:
        """Which file it is, whatever it holds."""
        return self.device, self.inode


class Guard:
    """Remembers files as they are now. A look at one takes about a microsecond."""

    def __init__(self, *paths: Path) -> None:
        """Look at those that are there."""
        self._seen = [(path, _identify(path.stat())) for path in paths if path.exists()]

    def check(self) -> None:
        """Compare the files with what they were.

        Raises:
            WeightsChangedError: if one was written to.
        """
        for path, seen in self._seen:
            try:
                now = _identify(os.stat(path))  # noqa: PTH116 - twice as fast as a Path's own
            except OSError:
                continue  # gone, and so out of anybody's reach
            if now != seen and now.file == seen.file:
                raise WeightsChangedError(f"{path.name} was written to while it was in use.")


def _identify(status: os.stat_result) -> _Identity:
    return _Identity(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
