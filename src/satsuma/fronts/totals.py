"""What all fronts have counted, those that are gone included."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from prometheus_client.metrics_core import Metric

from satsuma.api.sums import add_up
from satsuma.errors import SatsumaError
from satsuma.fronts.connection import Connection

_ANSWERS_WITHIN_S: Final = 2.0
_EVERY_S: Final = 1.0  # what a front that is killed takes with it, at most


class Totals:
    """The last that each front said, and the sum of what the gone ones had counted."""

    def __init__(self, connections: Mapping[int, Connection]) -> None:
        """Begin with nothing.

        Args:
            connections: the fronts that are there, by number; looked at each time.
        """
        self._connections = connections
        self._latest: dict[int, list[Metric]] = {}
        self._gone: list[Metric] = []

    def note(self, number: int, counted: list[Metric]) -> None:
        """Keep what a front has counted so far."""
        self._latest[number] = counted

    def close(self, number: int) -> None:
        """Keep a gone front's counts for good; its number may be another's from now on."""
        self._gone = add_up(self._gone, self._latest.pop(number, []))

    def sum(self) -> list[Metric]:
        """Add up what is known."""
        return add_up(self._gone, *self._latest.values())

    async def refresh(self) -> None:
        """Ask every front; of one that does not answer, the last answer counts."""
        await asyncio.gather(*(self._ask(*one) for one in list(self._connections.items())))

    async def keep_fresh(self) -> None:
        """Ask every second until this is cancelled."""
        while True:
            await asyncio.sleep(_EVERY_S)
            await self.refresh()

    async def _ask(self, number: int, connection: Connection) -> None:
        try:
            async with asyncio.timeout(_ANSWERS_WITHIN_S):
                counted = await connection.call("count")
        except (TimeoutError, SatsumaError, RuntimeError):  # the last is in the front's log
            return
        if self._connections.get(number) is connection:  # else they have been added already
            self.note(number, counted)
