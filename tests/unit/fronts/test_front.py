"""A front's own parts, without its process."""

from __future__ import annotations

import asyncio
from pathlib import Path

from support.jobs import MODEL, new_request
from unit.fronts.conftest import Join

from satsuma.fronts.client import DistantService
from satsuma.fronts.front import open_front_jobs
from satsuma.settings import Settings
from satsuma.store.catalog import bundled_catalog


async def test_a_job_that_comes_in_is_told_of(join: Join, tmp_path: Path) -> None:
    """The main process need not look for it; the front works on none itself."""
    told = asyncio.Event()

    async def note() -> None:
        told.set()

    caller, _ = await join({"note_job": note})
    service = DistantService(caller, bundled_catalog())
    jobs = open_front_jobs(Settings(data_dir=tmp_path), caller, service)
    assert jobs.worker is None
    await jobs.queue.accept("me", MODEL, [new_request("a text")])
    await asyncio.wait_for(told.wait(), 5)
    jobs.close()
