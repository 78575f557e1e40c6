"""Which digests may have come before: a Bloom filter on the disk, of a fixed size.

Says "no" for nearly every text that is new, at a hundredth of what a look into an index takes. A
wrong "maybe" costs that look; bits that a power cut lost cost embedding a text again.

Source: Bloom 1970, Space/time trade-offs in hash coding with allowable errors.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

_NUM_BYTES = 1 << 25  # a wrong "maybe" in 14 once there are 50 million
_NUM_HASHES = 4
_DIGEST_WORDS = 2

Bits = npt.NDArray[np.uint64]


class SeenFilter:
    """Remembers digests of 16 bytes. Belongs to one thread."""

    def __init__(self, path: Path) -> None:
        """Open or begin a filter.

        Raises:
            OSError: if the file cannot be made.
        """
        if not path.is_file() or path.stat().st_size != _NUM_BYTES:
            _make(path)
        self._bytes = np.memmap(path, np.uint8, "r+")

    def may_have(self, digests: Sequence[bytes]) -> list[bool]:
        """Tell of each digest whether it may be one of those that were added."""
        if not digests:
            return []
        bits = _bits(digests)  # (N, 4)
        found = (self._bytes[bits >> np.uint64(3)] >> (bits & np.uint64(7)).astype(np.uint8)) & 1
        return found.all(axis=1).tolist()  # type: ignore[no-any-return]

    def add(self, digests: Sequence[bytes]) -> None:
        """Remember digests."""
        if digests:
            bits = _bits(digests).ravel()
            masks = np.left_shift(1, (bits & np.uint64(7)).astype(np.uint8)).astype(np.uint8)
            np.bitwise_or.at(self._bytes, bits >> np.uint64(3), masks)


def _make(path: Path) -> None:
    """Make an empty filter that has its room: a page that finds none later ends the process."""
    with path.open("wb") as file:
        try:
            if hasattr(os, "posix_fallocate"):  # macOS has none
                os.posix_fallocate(file.fileno(), 0, _NUM_BYTES)
            file.truncate(_NUM_BYTES)
        except OSError as error:
            path.unlink()
            raise OSError(error.errno, error.strerror, str(path)) from error


def _bits(digests: Sequence[bytes]) -> Bits:
    """Choose the bits of each digest, from its two halves: (N, 4).

    Source: Kirsch and Mitzenmacher 2006, Less hashing, same performance.
    """
    halves = np.frombuffer(b"".join(digests), np.uint64).reshape(-1, _DIGEST_WORDS)
    steps = np.arange(_NUM_HASHES, dtype=np.uint64)
    return (halves[:, :1] + steps * halves[:, 1:]) % np.uint64(8 * _NUM_BYTES)
