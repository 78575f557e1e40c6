"""A time that stands still until a test sets it."""

from __future__ import annotations


class Clock:
    """Tells what it was set to.

    Attributes:
        now_s: the time.
    """

    def __init__(self, now_s: float = 0.0) -> None:
        """Begin at a time."""
        self.now_s = now_s

    def __call__(self) -> float:
        """Tell the time."""
        return self.now_s
