"""The asynchronous queue over HTTP: REST and the binding, on a real SQLite queue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import numpy as np
import orjson
import pytest
from api.in_test_service import MODEL, InTestService
from api.known_bodies import P, T
from api.serving import RUN_PATH
from hypothesis import given, settings
from hypothesis import strategies as st
from support.jobs import LIMITS, Keeper, take

from satsuma.api.app import create_app
from satsuma.api.openapi.components import SHAPES
from satsuma.api.openapi.document import openapi_document
from satsuma.api.queue_answers import write_answer
from satsuma.auth.tokens import TokenStore
from satsuma.errors import ModelNotInstalledError, QueueUnavailableError
from satsuma.jobs.assembly import Jobs, open_jobs
from satsuma.jobs.claims import Claims
from satsuma.jobs.records import Answered, Outcome, Reason, Refused
from satsuma.settings import Settings

QUEUE_PATH = f"{RUN_PATH}?queueRequest=true"
BINDING = "/run?version=3"
HEADERS = {"cf-consn-model-id": MODEL}
WITHIN_S = 20.0


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


def requests_of(*texts: Any) -> dict[str, Any]:
    """A body for the queue."""
    return {"requests": [{"text": text} for text in texts]}


async def queue(client: httpx.AsyncClient, body: Any) -> str:
    """Put a job in; gives its id."""
    answer = await client.post(QUEUE_PATH, json=body)
    assert answer.status_code == 200, answer.text
    request_id: str = answer.json()["result"]["request_id"]
    return request_id


async def finish(jobs: Jobs, client: httpx.AsyncClient, request_id: str) -> Any:
    """Let the worker do it; gives the result of the poll."""
    assert jobs.worker is not None
    jobs.worker.start()
    async with asyncio.timeout(WITHIN_S):
        while True:
            answer = await client.post(RUN_PATH, json={"request_id": request_id})
            if "responses" in answer.json()["result"]:
                return answer.json()["result"]
            await asyncio.sleep(0.01)


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


def nested(depth: int) -> Any:
    """Lists within one another."""
    innermost: list[Any] = []
    for _ in range(depth - 1):
        innermost = [innermost]
    return innermost


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


async def test_a_reference_may_be_nested_deep(client: httpx.AsyncClient, jobs: Jobs) -> None:
    """It comes back as it went."""
    body = {"text": "a", "external_reference": nested(254)}
    result = await finish(jobs, client, await queue(client, body))
    assert result["responses"][0]["external_reference"] == nested(254)


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
    (schema,) = (one["schema"] for one in described.values())
    validator = jsonschema_rs.validator_for({**schema, "components": document["components"]})
    answer = await client.post(QUEUE_PATH, json=requests_of("a"))
    validator.validate(answer.json())
    request_id = answer.json()["result"]["request_id"]
    await finish(jobs, client, request_id)
    validator.validate((await client.post(RUN_PATH, json={"request_id": request_id})).json())


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
