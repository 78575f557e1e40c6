"""The asynchronous queue over HTTP: REST and the binding, from a call to the end of its job."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from api.in_test_service import MODEL, InTestService
from api.jobs.asks import (
    BINDING,
    HEADERS,
    QUEUE_PATH,
    WITHIN_S,
    finish,
    nested,
    queue,
    requests_of,
)
from api.serving import RUN_PATH
from support.jobs import Keeper, take

from satsuma.auth.tokens import TokenStore
from satsuma.jobs.assembly import Jobs, open_jobs
from satsuma.settings import Settings


async def test_a_job_is_queued(client: httpx.AsyncClient) -> None:
    """In the words of the public contract, to the letter."""
    answer = await client.post(QUEUE_PATH, json=requests_of("a", ["b", "c"]))
    request_id = answer.json()["result"]["request_id"]
    assert request_id.count("-") == 4
    assert answer.text == (
        f'{{"result":{{"status":"queued","request_id":"{request_id}","model":"{MODEL}"}},'
        '"success":true,"errors":[],"messages":[]}'
    )
    assert answer.headers["cf-ai-req-id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize("path", [RUN_PATH, QUEUE_PATH])
async def test_a_poll_says_how_far_it_is(
    client: httpx.AsyncClient, keeper: Keeper, path: str
) -> None:
    """With the query's option and without."""
    request_id = await queue(client, requests_of("a"))
    for status in ("queued", "running"):
        answer = await client.post(path, json={"request_id": request_id})
        assert answer.json()["result"] == {
            "status": status,
            "request_id": request_id,
            "model": MODEL,
        }
        await asyncio.to_thread(lambda: take(keeper.server()))


async def test_a_reference_may_be_nested_deep(client: httpx.AsyncClient, jobs: Jobs) -> None:
    """It comes back as it went."""
    body = {"text": "a", "external_reference": nested(254)}
    result = await finish(jobs, client, await queue(client, body))
    assert result["responses"][0]["external_reference"] == nested(254)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (QUEUE_PATH, {"text": "hello"}),
        (RUN_PATH, {"text": "hello", "options": {"queueRequest": True}}),
        (RUN_PATH, {"requests": [{"text": "hello"}]}),
        (QUEUE_PATH, {"text": 5, "requests": [{"text": "hello"}]}),
        (QUEUE_PATH, {"text": "hello", "requests": None}),
    ],
)
async def test_what_is_queued(client: httpx.AsyncClient, jobs: Jobs, path: str, body: Any) -> None:
    """A single input too, and `requests` whatever else is said."""
    answer = await client.post(path, json=body)
    result = await finish(jobs, client, answer.json()["result"]["request_id"])
    assert result["responses"][0]["result"]["data"] == [[5.0, 0.0, 0.1]]


@pytest.mark.parametrize(
    "body", [{"text": "hello"}, {"text": "hello", "request_id": "x"}, {"text": "a", "requests": 5}]
)
async def test_what_is_embedded_at_once(client: httpx.AsyncClient, body: Any) -> None:
    """Beside a text, `request_id` means nothing."""
    answer = await client.post(RUN_PATH, json=body)
    assert answer.json()["result"]["pooling"] == "mean"


async def test_the_binding_answers_barely(client: httpx.AsyncClient, jobs: Jobs) -> None:
    """`env.AI.run(model, {requests}, {queueRequest: true})`, and the poll by `{request_id}`."""
    sent = {"inputs": requests_of("hello"), "options": {"queueRequest": True}}
    queued = (await client.post(BINDING, json=sent, headers=HEADERS)).json()
    assert queued == {"status": "queued", "request_id": queued["request_id"], "model": MODEL}
    poll = {"inputs": {"request_id": queued["request_id"]}, "options": {}}
    assert jobs.worker is not None
    jobs.worker.start()
    async with asyncio.timeout(WITHIN_S):
        while True:
            done = await client.post(BINDING, json=poll, headers=HEADERS)
            if "responses" in done.json():
                break
            await asyncio.sleep(0.01)
    assert done.headers["content-type"] == "application/json"
    assert list(done.json()) == ["responses", "usage"]
    assert done.json()["responses"][0]["result"]["data"] == [[5.0, 0.0, 0.1]]


async def test_a_bindings_job_is_its_tokens_accounts(
    client: httpx.AsyncClient, tokens: TokenStore
) -> None:
    """REST finds it under that account; without tokens the account is `local`."""
    secret, _ = tokens.create("me")
    token = {"authorization": f"Bearer {secret}"}
    sent = {"inputs": requests_of("a"), "options": {"queueRequest": True}}
    queued = (await client.post(BINDING, json=sent, headers=HEADERS | token)).json()
    poll = {"request_id": queued["request_id"]}
    answer = await client.post(RUN_PATH, json=poll, headers=token)
    assert answer.json()["result"] == queued


async def test_a_server_may_leave_the_work_to_others(
    service: InTestService, tmp_path: Path
) -> None:
    """It takes jobs in all the same."""
    idle = Settings(data_dir=tmp_path, no_queue_worker=True)
    opened = open_jobs(idle, service.embed, lambda: False)
    assert opened.worker is None
    job = await opened.queue.accept("me", MODEL, [])
    assert await opened.queue.find("me", MODEL, job.request_id) == job
    opened.close()
