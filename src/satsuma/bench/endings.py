"""How a benchmark ends that somebody stops: SIGTERM takes the way of Ctrl-C, so no server is left.

Left to itself, Python ends on SIGTERM at once, and what it started goes on without it.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Never

TERMINATED = 128 + signal.SIGTERM  # exit code, as a shell tells of such an end


@contextmanager
def ending_on_sigterm() -> Iterator[None]:
    """End a block on SIGTERM as on Ctrl-C, and then the process; for the main thread.

    Raises:
        SystemExit: with `TERMINATED`, once the block has cleaned up.
    """
    received: list[int] = []

    def interrupt(number: int, _: FrameType | None) -> Never:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # another must not cut the cleaning short
        received.append(number)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        if received:  # whatever the block made of it
            print("Terminated.", file=sys.stderr)
            sys.exit(TERMINATED)
