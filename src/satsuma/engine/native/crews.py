"""Helper threads for runs: a crew for each lane that has more than one core, and one for wide runs.

All models share them, since the scheduler shares the cores among all models.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from ctypes import c_void_p
from dataclasses import dataclass
from functools import cache

from satsuma.engine.native.library import load_library
from satsuma.engine.protocol import Width

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Crew:
    """Threads that share a run's steps; the caller is one of them.

    Attributes:
        helpers: the library's handle; None if the caller is alone.
        num_workers: threads, the caller included.
    """

    helpers: c_void_p | None
    num_workers: int


_ALONE = Crew(None, 1)


class Crews:
    """Lends crews to runs. Thread-safe: lists are popped and appended in one step."""

    def __init__(self, shares: Mapping[Width, int], num_lanes: int) -> None:
        """Start the helper threads, or take those of another model.

        Args:
            shares: cores of a run, by its width.
            num_lanes: runs of a lane's width at once.
        """
        self._idle = {
            Width.ALL_CORES: [_start(shares[Width.ALL_CORES], 0)],
            Width.ONE_LANE: [_start(shares[Width.ONE_LANE], 1 + lane) for lane in range(num_lanes)],
        }

    @contextmanager
    def lend(self, width: Width) -> Iterator[Crew]:
        """Lend a crew; a run that finds none idle goes on alone."""
        try:
            crew = self._idle[width].pop()
        except IndexError:
            yield _ALONE
            return
        try:
            yield crew
        finally:
            self._idle[width].append(crew)


@cache
def _start(num_workers: int, number: int) -> Crew:  # noqa: ARG001 - a crew for each number
    """Start a crew's threads, once for all models."""
    if num_workers == 1:
        return _ALONE
    helpers = load_library().start_workers(num_workers - 1)
    if not helpers:
        _LOGGER.warning("the system refuses %d more threads; runs have one core", num_workers - 1)
        return _ALONE
    return Crew(helpers, num_workers)
