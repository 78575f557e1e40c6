"""What a finished job answers."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import jsonschema_rs
import numpy as np
import orjson
import pytest
from api.in_test_service import MODEL, InTestService
from api.jobs.asks import QUEUE_PATH, finish, queue, requests_of
from api.serving import RUN_PATH
from hypothesis import given, settings
from hypothesis import strategies as st
from support.jobs import LIMITS, Keeper

from satsuma.api.openapi.components import SHAPES
from satsuma.api.openapi.document import openapi_document
from satsuma.api.queue_answers import write_answer
from satsuma.errors import QueueUnavailableError
from satsuma.jobs.assembly import Jobs
from satsuma.jobs.claims import Claims
from satsuma.jobs.records import Answered, Outcome, Reason, Refused


async def test_a_finished_jobs_responses(client: httpx.AsyncClient, jobs: Jobs) -> None:
    """Each with its index, its result and its reference; usage is the job's."""
    body = {
        "requests": [
            {"text": "hello", "external_reference": "reference-1"},
            {"text": ["a", "bc"], "pooling": "cls"},
        ]
    }
    result = await finish(jobs, client, await queue(client, body))
    assert result == {
        "responses": [
            {
                "id": 0,
                "result": {"shape": [1, 3], "data": [[5.0, 0.0, 0.1]], "pooling": "mean"},
                "success": True,
                "external_reference": "reference-1",
            },
            {
                "id": 1,
                "result": {
                    "shape": [2, 3],
                    "data": [[1.0, 0.0, 0.1], [2.0, 1.0, 0.1]],
                    "pooling": "cls",
                },
                "success": True,
                "external_reference": None,
            },
        ],
        "usage": {"prompt_tokens": 12, "completion_tokens": 0, "total_tokens": 12},
    }


async def test_a_finished_jobs_headers(
    client: httpx.AsyncClient, jobs: Jobs, service: InTestService
) -> None:
    """What made the vectors, and how many texts lost their end, as with a direct call."""
    service.num_truncated = 2
    request_id = await queue(client, requests_of("a", "b"))
    await finish(jobs, client, request_id)
    answer = await client.post(RUN_PATH, json={"request_id": request_id})
    assert answer.headers["x-satsuma-precision"] == "fp32"
    assert answer.headers["x-satsuma-truncated"] == "4"
    assert answer.headers["content-type"] == "application/json"


async def test_a_large_jobs_answer_is_sent_in_pieces(client: httpx.AsyncClient, jobs: Jobs) -> None:
    """It is the same JSON; its length is not known beforehand."""
    request_id = await queue(client, requests_of(*(f"text {n}" for n in range(50))))
    result = await finish(jobs, client, request_id)
    assert [one["id"] for one in result["responses"]] == list(range(50))
    answer = await client.post(RUN_PATH, json={"request_id": request_id})
    assert "content-length" not in answer.headers
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["result"] == result


async def test_an_empty_job_is_done(client: httpx.AsyncClient) -> None:
    """There is nothing to wait for."""
    answer = await client.post(QUEUE_PATH, json={"requests": []})
    usage = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    assert answer.json()["result"] == {"responses": [], "usage": usage}


async def test_a_failed_request_in_its_slot(
    client: httpx.AsyncClient, jobs: Jobs, keeper: Keeper
) -> None:
    """With its error as a direct call would have had it; the others have their vectors."""
    request_id = await queue(client, requests_of("a", "hello"))

    def refuse_first() -> None:
        server: Claims = keeper.server()
        (claimed,) = server.claim(1, is_idle=True, max_requests=1)
        server.finish([Outcome(claimed, Refused(Reason("invalid_input", "no")))])
        server.leave()

    await asyncio.to_thread(refuse_first)
    bad, good = (await finish(jobs, client, request_id))["responses"]
    message = f"AiError: Bad input: Error: no ({request_id})"
    assert bad == {
        "id": 0,
        "result": {},
        "success": False,
        "external_reference": None,
        "errors": [{"message": message, "code": 5006}],
    }
    assert good["success"]


@pytest.mark.parametrize(
    ("code", "message", "expected"),
    [
        ("attempts_spent", "it ended", (4007, "AiError: AiError: Given up: it ended (x)")),
        ("job_cancelled", "private", (3008, "AiError: AiError: Request was aborted (x)")),
        (
            "unheard_of",
            "private",
            (4007, "AiError: AiError: An internal server error occured. (x)"),
        ),
    ],
)
def test_reasons(code: str, message: str, expected: tuple[int, str]) -> None:
    """By the table of errors; what it has no words for is not told."""
    answered = Answered(0, b"null", None, "", "", Reason(code, message))
    written = orjson.loads(write_answer("x", answered))
    assert written["errors"] == [{"message": expected[1], "code": expected[0]}]


@settings(max_examples=50, deadline=None)
@given(
    st.integers(1, 3),
    st.recursive(st.none() | st.text() | st.integers(-9, 9), st.lists, max_leaves=4),
)
def test_responses_are_as_the_document_has_them(num_texts: int, reference: Any) -> None:
    """Whatever the client calls them."""
    vectors = np.ones((num_texts, 4), np.float32)
    answered = Answered(3, orjson.dumps(reference), vectors, "cls", "fp32", None)
    written = orjson.loads(write_answer("x", answered))
    assert written["external_reference"] == reference
    jsonschema_rs.validator_for(
        {"$ref": "#/components/schemas/Response", "components": {"schemas": SHAPES}}
    ).validate(written)


async def test_answers_are_as_the_document_has_them(client: httpx.AsyncClient, jobs: Jobs) -> None:
    """Queued and done."""
    document = openapi_document()
    path = "/client/v4/accounts/{account_id}/ai/run/{model}"
    described = document["paths"][path]["post"]["responses"]["200"]["content"]
    schema = described["application/json"]["schema"]
    validator = jsonschema_rs.validator_for({**schema, "components": document["components"]})
    answer = await client.post(QUEUE_PATH, json=requests_of("a"))
    validator.validate(answer.json())
    request_id = answer.json()["result"]["request_id"]
    await finish(jobs, client, request_id)
    validator.validate((await client.post(RUN_PATH, json={"request_id": request_id})).json())


async def test_a_job_that_goes_while_it_is_read(client: httpx.AsyncClient, jobs: Jobs) -> None:
    """The rest of the answer is not made up: the connection is cut."""
    request_id = await queue(client, requests_of(*["a"] * 50))
    await finish(jobs, client, request_id)
    found = await jobs.queue.find("me", MODEL, request_id)
    assert found is not None
    pages = jobs.queue.answers(found, lambda one: one.position)
    assert await anext(pages) == list(range(16))
    await asyncio.to_thread(Keeper(jobs.database, LIMITS).upkeep.purge)
    with pytest.raises(QueueUnavailableError, match="expired while it was read"):
        await anext(pages)
