"""Something looked after every so often, in a thread of its own. Knows nothing of the scheduler."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Watch:
    """Looks until it is ended."""

    def __init__(self, look: Callable[[], None], every_s: float) -> None:
        """Start the thread.

        Args:
            look: must not raise.
            every_s: seconds between looks.
        """
        self._look = look
        self._every_s = every_s
        self._is_over = threading.Event()
        threading.Thread(target=self._run, name="satsuma-watch", daemon=True).start()

    def end(self) -> None:
        """Look no more, soon."""
        self._is_over.set()

    def _run(self) -> None:
        while not self._is_over.wait(self._every_s):
            self._look()
