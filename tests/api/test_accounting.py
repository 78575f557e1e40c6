"""Quotas over HTTP: refused as by the real service, told in headers, counted for the right one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from api.in_test_service import MODEL, InTestService
from starlette.types import Message, Scope

from satsuma.api.app import create_app
from satsuma.api.metering import Counts
from satsuma.auth.tokens import TokenStore
from satsuma.errors import EngineError
from satsuma.jobs.assembly import open_jobs
from satsuma.jobs.queue import JobQueue
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
    queue: JobQueue | None = None,
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application."""
    app = create_app(service, settings, tokens, queue, Counts(ledger=ledger))
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
    """Counted by every route, and not for requests that failed."""
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


async def test_what_is_under_way_counts(service: InTestService) -> None:
    """Of ten at once that have 4 tokens each, three come within reach of 10, and one overdraws."""
    async with calling(service, Settings(tokens_per_minute=10)) as client:
        body = {"text": ["slow 0.2"]}
        answers = await asyncio.gather(*(client.post(RUN, json=body) for _ in range(10)))
        assert sorted(one.status_code for one in answers) == [200] * 3 + [429] * 7
        assert len(service.requests) == 3
        refused = next(one for one in answers if one.status_code == 429)
        assert refused.json()["errors"][0]["code"] == 3021
        assert 15 <= int(refused.headers["retry-after"]) <= 18  # the debt of 2, and one token


async def test_more_than_a_minute_s_worth(service: InTestService) -> None:
    """Is let in where anything is left."""
    async with calling(service, Settings(tokens_per_minute=10)) as client:
        assert (await client.post(RUN, json={"text": ["word " * 50] * 100})).status_code == 200
        assert (await client.post(RUN, json=BODY)).status_code == 429


async def test_a_guess_is_mended_by_the_answer(service: InTestService) -> None:
    """What is held is a guess of 129 tokens; the answer has 4, and a failure none."""
    async with calling(service, Settings(tokens_per_minute=10)) as client:
        body = {"text": "word " * 101}
        answer = await client.post(RUN, json=body)
        assert answer.headers["ratelimit"].startswith('"tokens";r=6;')
        service.error = EngineError("broken")
        failed = await client.post(RUN, json=body)
        assert failed.status_code == 500
        assert failed.headers["ratelimit"].startswith('"tokens";r=6;')


async def test_a_client_that_hangs_up_pays_nothing(service: InTestService) -> None:
    """What was held for it is given back."""
    app = create_app(service, Settings(tokens_per_minute=10), None)
    messages = [{"type": "http.request", "body": b'{"text": "slow 60"}'}]

    async def receive() -> Message:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(_message: Message) -> None:
        raise AssertionError("nobody is there")

    async with asyncio.timeout(20):
        await app(scope_of(RUN), receive, send)
    assert service.num_cancelled == 1
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://satsuma") as client:
        answer = await client.post(RUN, json=BODY)
        assert answer.headers["ratelimit"].startswith('"tokens";r=2;')


def scope_of(path: str) -> Scope:
    """A POST."""
    return {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
        "scheme": "http",
    }


async def test_queued_jobs_count(service: InTestService, tmp_path: Path) -> None:
    """When they are taken in, by their texts' lengths; asking for answers costs nothing."""
    settings = Settings(
        tokens_per_minute=10, data_dir=tmp_path, no_queue_worker=True, queue_max_texts=3
    )
    jobs = open_jobs(settings, service.embed, lambda: False)
    path, body = f"{RUN}?queueRequest=true", {"requests": [BODY]}  # 6 tokens
    try:
        async with calling(service, settings, queue=jobs.queue) as client:
            refused = await client.post(path, json={"requests": [BODY] * 2})
            assert refused.status_code == 413
            assert refused.headers["ratelimit"].startswith('"tokens";r=10;')
            first = await client.post(path, json=body)
            assert first.headers["ratelimit"].startswith('"tokens";r=4;')
            assert (await client.post(path, json=body)).status_code == 200
            refused = await client.post(path, json=body)
            assert refused.status_code == 429
            assert refused.headers["ratelimit"].startswith('"tokens";r=0;')
            assert (await client.post(RUN, json=BODY)).status_code == 429
            poll = {"request_id": first.json()["result"]["request_id"]}
            assert (await client.post(RUN, json=poll)).json()["result"]["status"] == "queued"
    finally:
        jobs.close()


async def test_every_answer_tells_what_is_left(service: InTestService, tokens: TokenStore) -> None:
    """Refusals too, whoever refuses."""
    token, _ = tokens.create("me", requests_per_minute=2)
    headers = {"authorization": f"Bearer {token}"}
    async with calling(service, Settings(max_body_bytes=100), tokens) as client:
        invalid = await client.post(RUN, json={"text": []}, headers=headers)
        assert (invalid.status_code, invalid.headers["ratelimit"][:14]) == (400, '"requests";r=1')
        large = await client.post(RUN, json={"text": "x" * 200}, headers=headers)
        assert (large.status_code, large.headers["ratelimit"][:14]) == (413, '"requests";r=0')
        refused = await client.post(RUN, json=BODY, headers=headers)
        assert (refused.status_code, refused.headers["ratelimit"][:14]) == (429, '"requests";r=0')
        assert refused.headers["ratelimit-policy"] == '"requests";q=2;w=60'
        assert "retry-after" in refused.headers
        path = "/client/v4/accounts/me/ai/v1/embeddings"
        body = {"model": MODEL, "input": ["one"]}
        openai = await client.post(path, json=body, headers=headers)
        assert openai.json()["error"]["code"] == "rate_limited"
        assert openai.headers["ratelimit"].startswith('"requests";r=0;')


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
