"""A client for an application around the in-test service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from api.in_test_service import InTestService
from api.serving import Server, server_process

from satsuma.api.app import create_app
from satsuma.auth.tokens import TokenStore
from satsuma.settings import Settings


@pytest.fixture
def service() -> InTestService:
    """Give the service behind `client`."""
    return InTestService()


@pytest.fixture
def tokens(tmp_path: Path) -> TokenStore:
    """Give an empty store."""
    return TokenStore(tmp_path / "tokens.json")


@pytest.fixture
async def client(service: InTestService, tokens: TokenStore) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client of the application, without a network."""
    app = create_app(service, Settings(max_body_bytes=10_000), tokens)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://satsuma") as one:
        yield one


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """Give a server process that no test stops."""
    with server_process() as one:
        yield one
