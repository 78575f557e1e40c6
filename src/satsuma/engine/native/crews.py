"""Threads and memory for runs: a crew for each lane, one for wide runs, one for the express lane.

All models share them, since the scheduler shares the cores among all models.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from ctypes import c_void_p
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from satsuma.engine.native.library import load_library
from satsuma.engine.protocol import Width
from satsuma.engine.topology import Place, Places, Processors
from satsuma.niceness import yield_to_others
from satsuma.types import ByteArray

_LOGGER = logging.getLogger(__name__)
_KEPT_WORKSPACE_BYTES = 64 * 2**20  # a workspace beyond it, as after one long text, is let go


def _no_bytes() -> ByteArray:
    return np.empty(0, np.uint8)


@dataclass(slots=True, eq=False)
class Crew:
    """Threads that share a run's steps, the caller being one of them, and the run's memory.

    Attributes:
        place: how many threads, and where they may be.
        helpers: the library's handle; None if the caller is alone.
        workspace: what the last run used.
    """

    place: Place
    helpers: c_void_p | None = None
    workspace: ByteArray = field(default_factory=_no_bytes)

    @property
    def num_workers(self) -> int:
        """Threads, the caller included."""
        return self.place.num_cores if self.helpers else 1

    def take_workspace(self, size_bytes: int) -> ByteArray:
        """Return at least so many bytes: the last run's, if they suffice."""
        if self.workspace.nbytes < size_bytes:
            self.workspace = np.empty(size_bytes, np.uint8)
        return self.workspace

    def tidy_up(self) -> None:
        """Let go of an uncommonly large workspace."""
        if self.workspace.nbytes > _KEPT_WORKSPACE_BYTES:
            self.workspace = _no_bytes()


class Crews:
    """Lends crews to runs. Thread-safe: lists are popped and appended in one step."""

    def __init__(self, places: Places) -> None:
        """Start the helper threads; `share_crews` does it once for all models."""
        self._idle = {
            Width.ALL_CORES: [_start(places.whole)],
            Width.ONE_LANE: [_start(place, is_lane=True) for place in places.lanes],
            Width.ONE_CORE: [Crew(Place(1))],
        }

    def lend(self, width: Width, work: Callable[[Crew], None]) -> None:
        """Do work with a crew, in its place; who finds none idle goes on alone.

        A crew is taken and given back in one step of C each, within one `try`: Ctrl-C may come
        between any two of Python's, and a crew that is lost leaves wide runs with one core.
        """
        idle, mine = self._idle[width], list[Crew]()
        try:
            with suppress(IndexError):
                mine.extend(map(list.pop, [idle]))
            crew = mine[0] if mine else Crew(Place(1))
            with _moved_to(crew.place.processors):
                work(crew)
            crew.tidy_up()
        finally:
            idle.extend(mine)


@cache
def share_crews(places: Places) -> Crews:
    """Return the crews of all models that run in these places."""
    return Crews(places)


def _start(place: Place, *, is_lane: bool = False) -> Crew:
    """Start a crew's threads; those of a lane leave room for others, as the lane itself does."""
    if place.num_cores == 1:
        return Crew(place)
    started: list[c_void_p | None] = []

    def start() -> None:  # in a thread of its own, since threads inherit its niceness and place
        if is_lane:
            yield_to_others()
        with _moved_to(place.processors):
            started.append(load_library().start_workers(place.num_cores - 1))

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    if not (started and started[0]):
        count = place.num_cores - 1
        _LOGGER.warning("the system refuses %d more threads; runs have one core", count)
        return Crew(place)
    return Crew(place, started[0])


@contextmanager
def _moved_to(processors: Processors | None) -> Iterator[None]:
    """Keep the calling thread near a cache meanwhile; where that cannot be, it stays free."""
    if processors is None or not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    with suppress(OSError):  # the processors may be taken away while we run
        os.sched_setaffinity(0, processors)
    try:
        yield
    finally:
        with suppress(OSError):
            os.sched_setaffinity(0, before)
