"""Quotas over HTTP: refused as by the real service, told in headers, counted for the right one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from api.in_test_service import MODEL, InTestService

from satsuma.api.app import create_app
from satsuma.api.metering import Counts
from satsuma.auth.tokens import TokenStore
from satsuma.errors import EngineError
from satsuma.settings import Settings
from satsuma.usage.ledger import Ledger

RUN = f"/client/v4/accounts/me/ai/run/{MODEL}"
BODY = {"text": ["one", "two"]}  # 8 tokens


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """An empty one."""
    return Ledger(tmp_path / "usage.db")


@asynccontextmanager
async def calling(
    service: InTestService,
    settings: Settings,
    tokens: TokenStore | None = None,
    ledger: Ledger | None = None,
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application."""
    app = create_app(service, settings, tokens, counts=Counts(ledger=ledger))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://satsuma") as client:
        yield client


async def test_requests_of_a_minute(service: InTestService) -> None:
    """The third of two is refused with the service's code, and told when to come again."""
    async with calling(service, Settings(requests_per_minute=2)) as client:
        first = await client.post(RUN, json=BODY)
        assert first.headers["ratelimit-policy"] == '"requests";q=2;w=60'
        assert first.headers["ratelimit"].startswith('"requests";r=1;t=')
        await client.post(RUN, json=BODY)
        refused = await client.post(RUN, json=BODY)
        assert refused.status_code == 429
        assert refused.json()["errors"][0]["code"] == 3021
        assert "rate limiting: inference request per min rate reached" in refused.text
        assert 1 <= int(refused.headers["retry-after"]) <= 30
        assert len(service.requests) == 2
        assert (await client.post(RUN.replace("/me/", "/you/"), json=BODY)).status_code == 200
        assert (await client.get("/v1/models")).status_code == 200


async def test_tokens_of_a_minute(service: InTestService) -> None:
    """Counted when they are known; by every route, and not for requests that failed."""
    async with calling(service, Settings(tokens_per_minute=10)) as client:
        service.error = EngineError("broken")
        assert (await client.post(RUN, json=BODY)).status_code == 500
        service.error = None
        answer = await client.post(RUN, json=BODY)
        assert answer.headers["ratelimit"].startswith('"tokens";r=2;t=')
        body = {"model": MODEL, "input": ["one"]}
        path = "/client/v4/accounts/me/ai/v1/embeddings"
        assert (await client.post(path, json=body)).status_code == 200
        refused = await client.post(path, json=body)
        assert refused.status_code == 429
        assert refused.json()["error"]["code"] == "rate_limited"


@pytest.mark.parametrize(
    "path", ["/v1/rerank", "/v2/rerank", "/client/v4/accounts/me/ai/v1/rerank"]
)
async def test_reranking_counts_too(service: InTestService, path: str) -> None:
    """It uses the engine as embedding does."""
    body = {"model": MODEL, "query": "a", "documents": ["one", "two"]}
    async with calling(service, Settings(tokens_per_minute=10)) as client:
        answer = await client.post(path, json=body)
        assert answer.headers["ratelimit"].startswith('"tokens";r=2;t=')


async def test_a_token_s_own_limit(service: InTestService, tokens: TokenStore) -> None:
    """Counts beside its account's; another token of the account goes on."""
    narrow, _ = tokens.create("me", requests_per_minute=1)
    wide, _ = tokens.create("me")
    async with calling(service, Settings(requests_per_minute=100), tokens) as client:
        headers = {"authorization": f"Bearer {narrow}"}
        first = await client.post(RUN, json=BODY, headers=headers)
        assert first.headers["ratelimit"].startswith('"requests";r=0;')
        assert (await client.post(RUN, json=BODY, headers=headers)).status_code == 429
        other = {"authorization": f"Bearer {wide}"}
        answer = await client.post(RUN, json=BODY, headers=other)
        assert answer.headers["ratelimit"].startswith('"requests";r=98;')


async def test_no_limits_no_headers(service: InTestService) -> None:
    """As it is by default."""
    async with calling(service, Settings()) as client:
        assert "ratelimit" not in (await client.post(RUN, json=BODY)).headers


async def test_usage_is_the_token_s_account_s(
    service: InTestService, tokens: TokenStore, ledger: Ledger
) -> None:
    """Also where the path names none."""
    token, _ = tokens.create("me")
    headers = {"authorization": f"Bearer {token}"}
    async with calling(service, Settings(), tokens, ledger) as client:
        await client.post(RUN, json=BODY, headers=headers)
        body = {"model": MODEL, "input": ["one"]}
        await client.post("/v1/embeddings", json=body, headers=headers)
        await client.post(RUN, json={"text": []}, headers=headers)
        await client.post(RUN, json=BODY)
    ledger.write()
    (used,) = ledger.read()
    assert (used.account, used.model, used.requests) == ("me", MODEL, 2)
    assert (used.texts, used.tokens) == (3, 12)
