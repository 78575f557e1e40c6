"""One tenant sees nothing of another, on any route that there is; docs/security.md says why."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from typing import Any

import httpx
import pytest
from api.in_test_service import MODEL, InTestService
from starlette.applications import Starlette
from starlette.routing import Route

from satsuma.api.app import create_app
from satsuma.api.metering import Counts
from satsuma.auth.tokens import TokenRecord, TokenStore
from satsuma.jobs.assembly import open_jobs
from satsuma.settings import Settings
from satsuma.usage.ledger import Ledger

OURS, THEIRS = "tenant-ours-5f1c", "tenant-theirs-9a2e"
SECRET = "the merger with orange incorporated"
NAME = "token-of-the-board"
REFERENCE = "reference-of-ours"
WITHIN_S = 20.0


class Rule(Enum):
    """Who gets an answer of a route."""

    OPEN = auto()  # everybody: it has nothing of anybody's
    ANY = auto()  # every token: models and load are the server's; jobs are the token's account's
    OWN = auto()  # a token of the path's account
    NOBODY = auto()  # an empty account id, which is refused


RUN = "ai/run/{model:path}"
BELOW_AN_ACCOUNT = {
    RUN,
    "ai/v1/embeddings",
    "ai/v1/rerank",
    "ai/v2/rerank",
    "ai/v1/models",
    "ai/v1/models/{model:path}",
    "ai/models/search",
    "ai/models/schema",
    "ai/tasks/search",
    "ai/authors/search",
    "tokens/verify",
}
# Every route has to be decided on: one that is not in this table fails the first test.
RULES = {
    "/run": Rule.ANY,
    "/ai-gateway/run": Rule.ANY,
    "/ai-api/models/search": Rule.ANY,
    "/v1/embeddings": Rule.ANY,
    "/v1/rerank": Rule.ANY,
    "/v2/rerank": Rule.ANY,
    "/v1/models": Rule.ANY,
    "/v1/models/{model:path}": Rule.ANY,
    "/client/v4/user/tokens/verify": Rule.ANY,
    "/satsuma/tokenize": Rule.ANY,
    "/satsuma/stats": Rule.ANY,
    "/metrics": Rule.ANY,
    "/health": Rule.OPEN,
    "/ready": Rule.OPEN,
    "/openapi.json": Rule.OPEN,
    "/": Rule.OPEN,
    "/docs": Rule.OPEN,
    "/playground/{name:path}": Rule.OPEN,
    **{f"/client/v4/accounts/{{account_id}}/{path}": Rule.OWN for path in BELOW_AN_ACCOUNT},
    **{f"/client/v4/accounts//{path}": Rule.NOBODY for path in BELOW_AN_ACCOUNT},
}


@dataclass
class Tenants:
    """An application with two tenants, of whom one has done all that can be done.

    Attributes:
        client: of the application, without a token.
        ours: their token.
        theirs: the other's.
        record: what is kept of ours.
        request_id: of our job, which is done.
    """

    app: Starlette
    client: httpx.AsyncClient
    ours: str
    theirs: str
    record: TokenRecord
    request_id: str = ""
    secrets: list[str] = field(default_factory=list)

    async def call(
        self, method: str, path: str, token: str | None, body: Any = None
    ) -> httpx.Response:
        """Send one request."""
        headers = {"cf-consn-model-id": MODEL}
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        sent = None if method in {"GET", "HEAD"} else body
        return await self.client.request(method, path, headers=headers, json=sent)


@pytest.fixture
async def tenants(
    service: InTestService, tokens: TokenStore, tmp_path: Path
) -> AsyncIterator[Tenants]:
    """Two tenants; ours has embedded, and has a job whose answers wait to be read."""
    settings = Settings(data_dir=tmp_path, queue_lease_s=1000.0, requests_per_minute=10_000)
    jobs = open_jobs(settings, service.embed, lambda: False)
    ledger = Ledger(tmp_path / "usage.db")
    (ours, record), (theirs, _) = tokens.create(OURS, NAME), tokens.create(THEIRS)
    app = create_app(service, settings, tokens, jobs.queue, Counts(ledger=ledger))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://satsuma") as client:
        both = Tenants(app, client, ours, theirs, record)
        assert jobs.worker is not None
        jobs.worker.start()
        await embed_and_queue(both)
        await asyncio.to_thread(ledger.write)
        both.secrets = [OURS, SECRET, NAME, REFERENCE, ours, record.id, record.sha256]
        yield both
        await jobs.worker.stop()
    jobs.close()


async def embed_and_queue(tenants: Tenants) -> None:
    """Do as ours all that leaves something behind, and wait until it is there."""
    run = f"/client/v4/accounts/{OURS}/ai/run/{MODEL}"
    await tenants.call("POST", run, tenants.ours, {"text": SECRET})
    request = {"text": SECRET, "external_reference": REFERENCE}
    queued = await tenants.call(
        "POST", f"{run}?queueRequest=true", tenants.ours, {"requests": [request]}
    )
    tenants.request_id = queued.json()["result"]["request_id"]
    poll = {"request_id": tenants.request_id}
    async with asyncio.timeout(WITHIN_S):
        while True:
            answer = await tenants.call("POST", run, tenants.ours, poll)
            if "responses" in answer.text:
                return
            await asyncio.sleep(0.01)


def routes_of(app: Starlette) -> dict[str, list[str]]:
    """List every path's methods; nothing but plain routes can be looked through."""
    found: dict[str, list[str]] = {}
    for route in app.routes:
        assert isinstance(route, Route), f"{route} is of a kind that this test does not know"
        found.setdefault(route.path, []).extend(sorted(route.methods or ()))
    return found


def fill(path: str, account: str) -> str:
    """Put an account, a model and a file into a path."""
    names = {"{account_id}": account, "{model:path}": MODEL, "{name:path}": "style.css"}
    for name, value in names.items():
        path = path.replace(name, value)
    return path


def bodies(request_id: str) -> Iterator[Any]:
    """Ask for everything that any route's body can ask for, another's job among it."""
    poll = {"request_id": request_id}
    yield from (poll, {"text": "a"}, {"inputs": poll}, {"inputs": {"text": "a"}}, None)
    yield {"model": MODEL, "input": "a", "user": OURS, **poll}
    yield {"model": MODEL, "text": "a", "account_id": OURS}
    yield {"model": MODEL, "query": "a", "documents": ["b"], "return_documents": True, **poll}
    yield {"requests": [{"text": "a"}], "account": OURS, "account_id": OURS}


QUERIES = ("", "?version=3", "?version=3&queueRequest=true", f"?account_id={OURS}&search={OURS}")


async def test_every_route_is_decided_on(tenants: Tenants) -> None:
    """A new route has to say here whose it is."""
    assert set(routes_of(tenants.app)) == set(RULES)


async def test_a_token_opens_its_own_account_alone(tenants: Tenants) -> None:
    """On every route below an account, whatever the method."""
    for path, methods in routes_of(tenants.app).items():
        if RULES[path] is not Rule.OWN:
            continue
        for method in methods:
            refused = await tenants.call(method, fill(path, OURS), tenants.theirs, {"text": "a"})
            assert refused.status_code == 401, (method, path)
            mine = await tenants.call(method, fill(path, THEIRS), tenants.theirs, {"text": "a"})
            assert mine.status_code != 401, (method, path)


@pytest.mark.parametrize("account", ["tenant%2Dours-5f1c", "%74enant-ours-5f1c", OURS + "%00"])
async def test_an_account_cannot_be_spelt_past_the_check(tenants: Tenants, account: str) -> None:
    """The check and the route read one and the same path."""
    path = f"/client/v4/accounts/{account}/ai/run/{MODEL}"
    answer = await tenants.call("POST", path, tenants.theirs, {"request_id": tenants.request_id})
    assert answer.status_code in {401, 404}


async def test_nothing_without_a_token_but_what_is_open(tenants: Tenants) -> None:
    """And what is open has nothing of anybody's."""
    for path, methods in routes_of(tenants.app).items():
        for method in methods:
            answer = await tenants.call(method, fill(path, OURS), None, {"text": "a"})
            is_open = RULES[path] is Rule.OPEN
            assert (answer.status_code == 200) is is_open, (method, path)
            check(answer, tenants.secrets, echo=OURS in fill(path, OURS))


async def test_no_answer_has_anything_of_another_tenant(tenants: Tenants) -> None:
    """Neither text, vector, job, token, name, reference nor account; on no route, by no body."""
    for path, methods in routes_of(tenants.app).items():
        for method in methods:
            for body in (None,) if method != "POST" else bodies(tenants.request_id):
                for query in QUERIES:
                    filled = fill(path, THEIRS) + query
                    answer = await tenants.call(method, filled, tenants.theirs, body)
                    check(answer, tenants.secrets)
                    assert method != "POST" or "responses" not in answer.text, path


def check(answer: httpx.Response, secrets: list[str], *, echo: bool = False) -> None:
    """Look for secrets in all of an answer.

    Args:
        answer: of a stranger's request.
        secrets: what it must not have.
        echo: the request itself named the account.
    """
    told = answer.text + str(sorted(answer.headers.items()))
    for secret in secrets:
        assert secret not in told or (echo and secret == OURS), (answer.request.url, secret)


async def test_each_tenant_has_its_own_jobs(tenants: Tenants) -> None:
    """The owner reads its job by either client's protocol; to others it is not there."""
    run = "/client/v4/accounts/{}/ai/run/" + MODEL
    poll = {"request_id": tenants.request_id}
    by_rest = await tenants.call("POST", run.format(OURS), tenants.ours, poll)
    by_binding = await tenants.call("POST", "/run?version=3", tenants.ours, {"inputs": poll})
    assert REFERENCE in by_rest.text
    assert REFERENCE in by_binding.text
    strange = await tenants.call("POST", run.format(THEIRS), tenants.theirs, poll)
    missing = await tenants.call(
        "POST", run.format(THEIRS), tenants.theirs, {"request_id": tenants.request_id[::-1]}
    )
    assert (strange.status_code, missing.status_code) == (404, 404)
    said, other = (one.json()["errors"][0]["message"] for one in (strange, missing))
    assert said.rpartition(" (")[0] == other.rpartition(" (")[0]  # but for the answer's own id


async def test_the_log_has_neither_texts_nor_tokens(
    tenants: Tenants, caplog: pytest.LogCaptureFixture
) -> None:
    """Also where something went wrong."""
    caplog.set_level(0)
    run = f"/client/v4/accounts/{OURS}/ai/run/{MODEL}"
    for body in ({"text": SECRET}, {"text": [SECRET, 5]}, {"text": SECRET, "pooling": SECRET}):
        for token in (tenants.ours, tenants.theirs):
            await tenants.call("POST", run, token, body)
    for secret in (SECRET, tenants.ours, tenants.theirs):
        assert secret not in caplog.text


@pytest.mark.usefixtures("tenants")
def test_state_is_its_owners_alone(tmp_path: Path) -> None:
    """Tokens, usage, and the queue with its texts: nobody else on the machine may read them."""
    files = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert {"tokens.json", "usage.db", "queue.db"} <= set(files)
    assert {name: mode for name, mode in files.items() if mode & 0o077} == {}
