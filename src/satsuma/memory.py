"""What a server asks of the interpreter and of the C library about memory.

Sources: https://man7.org/linux/man-pages/man3/malloc_trim.3.html and
https://docs.python.org/3/library/gc.html
"""

from __future__ import annotations

import ctypes
import gc
import sys

# Objects that came and did not go before the collector looks at them. 500 requests under way are
# some 100,000, and all of them alive; 20,000 of garbage would be some 10 MB.
_YOUNG_OBJECTS = 20_000


def calm_collector() -> None:
    """Let the collector of garbage look seldom, and never again at what is there by now.

    Python's own thresholds are for programs of few live objects: with many requests under way it
    would look through all of them, modules included, again and again (docs/log.md).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, *gc.get_threshold()[1:])


def give_back_memory() -> None:
    """Give back what was freed, after much of it. Blocks for milliseconds, without the GIL.

    glibc keeps much of it otherwise, in each of its arenas.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none, and keeps little
        if trim is not None:
            trim(0)
