"""What the queue refuses, and what it cannot find."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from api.in_test_service import InTestService
from api.jobs.asks import (
    BINDING,
    HEADERS,
    QUEUE_PATH,
    nested,
    queue,
    requests_of,
)
from api.known_bodies import P, T
from api.serving import RUN_PATH
from support.jobs import LIMITS, Keeper

from satsuma.api.app import create_app
from satsuma.errors import ModelNotInstalledError
from satsuma.jobs.assembly import Jobs, open_jobs
from satsuma.settings import Settings


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"text": "b", "external_reference": nested(255)}, ""),
        (
            {"requests": [{"text": "a"}, {"text": "b", "external_reference": nested(255)}]},
            "/requests/1",
        ),
    ],
)
async def test_a_reference_nested_too_deep_is_refused(
    client: httpx.AsyncClient, body: Any, pointer: str
) -> None:
    """It could not be written again."""
    answer = await client.post(QUEUE_PATH, json=body)
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["code"]) == (400, 5006)
    assert f"Nesting of '{pointer}/external_reference' must be <= 254 not met" in error["message"]


async def test_another_accounts_job_is_not_found(client: httpx.AsyncClient) -> None:
    """Nor one of another model, nor one that never was; each in the same words."""
    request_id = await queue(client, requests_of("a"))
    theirs = RUN_PATH.replace("/me/", "/you/")
    for path, asked in ((theirs, request_id), (RUN_PATH, "never"), (RUN_PATH, "\0")):
        answer = await client.post(path, json={"request_id": asked})
        (error,) = answer.json()["errors"]
        assert (answer.status_code, error["code"]) == (404, 7003)
        assert "There is no such request_id of this account and model" in error["message"]


async def test_an_unknown_job_in_the_bindings_words(client: httpx.AsyncClient) -> None:
    """The runtime throws `7003: ...`."""
    sent = {"inputs": {"request_id": "never"}, "options": {}}
    answer = await client.post(BINDING, json=sent, headers=HEADERS)
    assert (answer.status_code, answer.json()["internalCode"]) == (404, 7003)


@pytest.mark.parametrize(
    ("body", "description"),
    [
        (requests_of("a", "b", 5), "Type mismatch of '/requests/2/text', 'string' not in 'number'"),
        ({"requests": [{"text": "a"}, {}]}, "required properties at '/requests/1' are 'text'"),
        ({"requests": [{"text": "a"}] * 49 + [{}]}, "at '/requests/49' are 'text'"),
        ({"requests": {}}, T),
        ({"requests": [5]}, T),
        ({"requests": [{"text": ["a"] * 101}]}, "'/requests/0/text' must NOT have more than 100"),
        ({"text": "a", "requests": [{"text": "a"}]}, "2 matches"),
        ({}, P),
        ({"request_id": 5}, "Type mismatch of '/request_id', 'string' not in 'number','integer'"),
        ({"request_id": ""}, "Length of '/request_id' must be >= 1"),
        ({"request_id": None}, "Type mismatch of '/request_id', 'string' not in 'null'"),
    ],
)
async def test_an_invalid_input_is_refused_at_once(
    client: httpx.AsyncClient, jobs: Jobs, body: Any, description: str
) -> None:
    """In the validator's words, naming the place; nothing of the call is kept."""
    answer = await client.post(QUEUE_PATH, json=body)
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["code"]) == (400, 5006)
    assert description in error["message"]
    assert await asyncio.to_thread(Keeper(jobs.database, LIMITS).upkeep.jobs) == []


@pytest.mark.parametrize(
    "body", [requests_of(*["a"] * 51), requests_of(["a"] * 41, ["b"] * 40), {"requests": [{}] * 51}]
)
async def test_too_much_for_one_call(client: httpx.AsyncClient, body: Any) -> None:
    """413, by the number of requests before they are looked at, or by that of their texts."""
    answer = await client.post(QUEUE_PATH, json=body)
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["code"]) == (413, 3006)
    assert "Request is too large: " in error["message"]


async def test_too_much_for_the_queue(client: httpx.AsyncClient) -> None:
    """429, with the time to wait."""
    await queue(client, requests_of(["a"] * 60))
    answer = await client.post(QUEUE_PATH, json=requests_of(["a"] * 60))
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (429, 3040)
    assert answer.headers["retry-after"] == "60"


async def test_a_model_that_is_not_here_is_not_queued_for(
    client: httpx.AsyncClient, service: InTestService
) -> None:
    """As a direct call says."""
    service.error = ModelNotInstalledError("Pull it")
    answer = await client.post(QUEUE_PATH, json=requests_of("a"))
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (503, 5007)


async def test_a_queue_that_is_away(service: InTestService, tmp_path: Path) -> None:
    """Its calls get 503 and a time to wait; direct ones are answered."""
    (tmp_path / "file").write_text("")
    away = Settings(data_dir=tmp_path / "file")
    opened = open_jobs(away, service.embed, lambda: False)
    transport = httpx.ASGITransport(create_app(service, away, None, opened.queue))
    async with httpx.AsyncClient(transport=transport, base_url="http://satsuma") as client:
        for body in (requests_of("a"), {"request_id": "0" * 36}):
            answer = await client.post(QUEUE_PATH, json=body)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
            message = answer.json()["errors"][0]["message"]
            assert message.startswith("AiError: AiError: The queue is not available, try again. (")
        assert (await client.post(RUN_PATH, json={"text": "a"})).status_code == 200
