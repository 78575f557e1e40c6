"""A client for an application with a queue, on a real SQLite database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from api.in_test_service import InTestService
from support.jobs import LIMITS, Keeper

from satsuma.api.app import create_app
from satsuma.auth.tokens import TokenStore
from satsuma.jobs.assembly import Jobs, open_jobs
from satsuma.settings import Settings


@pytest.fixture
def all_settings(tmp_path: Path) -> Settings:
    """A small queue, in a folder of the test's own."""
    return Settings(
        data_dir=tmp_path,
        queue_max_requests=50,
        queue_max_texts=80,
        queue_max_waiting_texts=100,
        queue_lease_s=1000.0,
    )


@pytest.fixture
async def jobs(all_settings: Settings, service: InTestService) -> AsyncIterator[Jobs]:
    """An open queue, whose worker waits for the test to start it."""
    opened = open_jobs(all_settings, service.embed, lambda: False)
    yield opened
    assert opened.worker is not None
    await opened.worker.stop()
    opened.close()


@pytest.fixture
async def client(
    service: InTestService, tokens: TokenStore, all_settings: Settings, jobs: Jobs
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application with a queue."""
    app = create_app(service, all_settings, tokens, jobs.queue)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://satsuma") as one:
        yield one


@pytest.fixture
def keeper(jobs: Jobs) -> Keeper:
    """The queue from the inside."""
    return Keeper(jobs.database, LIMITS)
