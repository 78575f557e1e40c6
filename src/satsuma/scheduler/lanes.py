"""The threads that run microbatches: a lane for each core, and the express lane besides.

A lane that dies is started anew, and one that hangs is replaced. Knows no queue and no encoder;
`scheduler.py` says what they do.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from satsuma.niceness import yield_to_others

_LOGGER = logging.getLogger(__name__)
_REVIVAL_S = 0.2  # pause before a dead lane starts anew, so that a crash loop stays cool


@dataclass(frozen=True, slots=True)
class Lane:
    """One thread's place.

    Attributes:
        number: from 0; the express lane comes last.
        is_express: takes queries that would wait for bulk work, and nothing else.
        num_before: threads that hung in this place before.
    """

    number: int
    is_express: bool = False
    num_before: int = 0

    @property
    def name(self) -> str:
        """What its thread is called."""
        return "satsuma-express" if self.is_express else f"satsuma-lane-{self.number}"


class LaneThreads:
    """Keeps a thread alive for each lane until closed. Thread-safe."""

    def __init__(
        self, lanes: list[Lane], serve: Callable[[Lane], None], bury: Callable[[Lane], None]
    ) -> None:
        """Start the threads.

        Args:
            lanes: a thread each.
            serve: what a thread does; returns when there will be no more work.
            bury: called in the thread when that has ended, whichever way.
        """
        self._lanes = set(lanes)
        self._serve = serve
        self._bury = bury
        self._changed = threading.Condition()
        self._alive: set[Lane] = set()
        self._is_closed = False
        for lane in lanes:
            self._start(lane)

    @property
    def is_complete(self) -> bool:
        """Whether every lane lives."""
        with self._changed:
            return self._lanes <= self._alive

    def replace(self, lane: Lane) -> None:
        """Start another thread in the place of one that hangs, which goes when it can."""
        successor = replace(lane, num_before=lane.num_before + 1)
        with self._changed:
            self._lanes = self._lanes - {lane} | {successor}
        self._start(successor)

    def is_replaced(self, lane: Lane) -> bool:
        """Whether another thread has this one's place."""
        return lane not in self._lanes

    def close(self, timeout_s: float | None) -> bool:
        """Start no lane any more, and wait until all have ended.

        Args:
            timeout_s: how long to wait; None waits as long as it takes.

        Returns:
            Whether they have.
        """
        with self._changed:
            self._is_closed = True
            return self._changed.wait_for(lambda: not self._alive, timeout_s)

    def _start(self, lane: Lane) -> None:
        with self._changed:
            if self._is_closed or self.is_replaced(lane):
                return
            self._alive.add(lane)
            threading.Thread(target=self._live, args=(lane,), name=lane.name, daemon=True).start()

    def _live(self, lane: Lane) -> None:
        """Serve; on any end but the last, start the lane anew."""
        is_done = False
        if not lane.is_express:
            yield_to_others()
        try:
            self._serve(lane)
            is_done = True
        except BaseException:  # even SystemExit: a lane that ends unseen would wedge the server
            _LOGGER.exception("an engine thread died; starting another")
        finally:
            self._bury(lane)
            with self._changed:
                self._alive.discard(lane)
                self._changed.notify_all()
            if not is_done:
                timer = threading.Timer(_REVIVAL_S, self._start, (lane,))
                timer.daemon = True
                timer.start()
