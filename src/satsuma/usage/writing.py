"""Keeps a ledger's file a few seconds behind its counts."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from satsuma.background import run_in_background
from satsuma.errors import SatsumaError
from satsuma.usage.ledger import Ledger

_LOGGER = logging.getLogger(__name__)
_EVERY_S: Final = 5.0


async def keep_writing(ledger: Ledger) -> None:
    """Write every few seconds until this is cancelled."""
    while True:
        await asyncio.sleep(_EVERY_S)
        await write_once(ledger)


async def write_once(ledger: Ledger) -> None:
    """Write what was counted; what cannot be written is kept for the next time, and logged."""
    await run_in_background(lambda: _write(ledger))


def _write(ledger: Ledger) -> None:
    try:
        ledger.write()
    except SatsumaError as error:  # nobody's request fails for it
        _LOGGER.warning("usage is not written down: %s", error)
