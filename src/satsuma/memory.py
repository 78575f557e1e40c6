"""Freed memory goes back to the system; glibc keeps much of it otherwise, in each of its arenas.

Source: https://man7.org/linux/man-pages/man3/malloc_trim.3.html
"""

from __future__ import annotations

import ctypes
import sys


def give_back_memory() -> None:
    """Give back what was freed, after much of it. Blocks for milliseconds, without the GIL."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none, and keeps little
        if trim is not None:
            trim(0)
