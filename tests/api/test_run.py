from __future__ import annotations

import re
from typing import Any

import httpx
import numpy as np
import orjson
import pytest
from api.in_test_service import MODEL, InTestReadiness, InTestService
from api.serving import RUN_PATH, Server

from satsuma.types import Pooling

UUID4 = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


async def test_answers_byte_for_byte(client: httpx.AsyncClient) -> None:
    """A success has Cloudflare's keys in Cloudflare's order, and float32 at its shortest."""
    answer = await client.post(RUN_PATH, json={"text": ["abc", "d"]})
    assert answer.status_code == 200
    assert answer.content == (
        b'{"result":{"shape":[2,3],"data":[[3.0,0.0,0.1],[1.0,1.0,0.1]],"pooling":"mean",'
        b'"usage":{"prompt_tokens":8,"completion_tokens":0,"total_tokens":8}},'
        b'"success":true,"errors":[],"messages":[]}'
    )


async def test_answers_with_its_headers(client: httpx.AsyncClient) -> None:
    """A success names its request and says where the time went."""
    headers = (await client.post(RUN_PATH, json={"text": "abc"})).headers
    assert headers["content-type"] == "application/json"
    assert re.fullmatch(UUID4, headers["cf-ai-req-id"])
    assert headers["x-request-id"] == headers["cf-ai-req-id"]
    assert headers["x-satsuma-precision"] == "fp32"
    assert headers["server-timing"] == "tokenise;dur=1.23, queue;dur=0.00, inference;dur=12.50"
    assert "x-satsuma-truncated" not in headers


async def test_says_how_many_texts_were_cut(
    client: httpx.AsyncClient, service: InTestService
) -> None:
    """Truncation is silent in Cloudflare's body, so a header tells of it."""
    service.num_truncated = 2
    answer = await client.post(RUN_PATH, json={"text": ["a", "b"]})
    assert answer.headers["x-satsuma-truncated"] == "2"


async def test_one_text_gives_one_row(client: httpx.AsyncClient) -> None:
    """A string is answered as a list of one vector."""
    answer = await client.post(RUN_PATH, json={"text": "abc"})
    assert answer.json()["result"]["data"] == [[3.0, 0.0, 0.1]]


@pytest.mark.parametrize(
    ("body", "pooling"),
    [({}, None), ({"pooling": "mean"}, Pooling.MEAN), ({"pooling": "cls"}, Pooling.CLS)],
)
async def test_passes_pooling_on(
    client: httpx.AsyncClient, service: InTestService, body: dict[str, str], pooling: Pooling | None
) -> None:
    """The service gets the pooling that was asked for, or None."""
    await client.post(RUN_PATH, json={"text": "a", **body})
    assert service.requests[0].pooling is pooling


async def test_ignores_unknown_keys(client: httpx.AsyncClient) -> None:
    """The published schema forbids no further keys, so they are ignored."""
    body = {"text": "a", "options": {"rejectIfBusy": True}, "truncate_inputs": True, "x": 1}
    assert (await client.post(RUN_PATH, json=body)).status_code == 200


@pytest.mark.parametrize(
    "content_type",
    [None, "application/x-www-form-urlencoded", "text/plain;charset=UTF-8", "application/json"],
)
async def test_reads_json_whatever_the_content_type(
    client: httpx.AsyncClient, content_type: str | None
) -> None:
    """Curl and fetch name other types than JSON, and Cloudflare does not mind."""
    headers = {} if content_type is None else {"content-type": content_type}
    answer = await client.post(RUN_PATH, content=b'{"text":"a"}', headers=headers)
    assert answer.status_code == 200


def test_float32_survives_json() -> None:
    """Each float32 comes back exactly, and is written in no more digits than it needs."""
    vectors = np.random.default_rng(0).standard_normal((20, 384)).astype(np.float32)
    written = orjson.dumps(vectors, option=orjson.OPT_SERIALIZE_NUMPY)
    assert np.array_equal(np.array(orjson.loads(written), dtype=np.float32), vectors)
    assert len(written) < 13 * vectors.size


@pytest.mark.parametrize(
    "model",
    [
        "@cf/baai/bge-base-en-v1.5",
        "%40cf/baai/bge-base-en-v1.5",
        "@cf%2Fbaai%2Fbge-base-en-v1.5",
        "%40cf%2fbaai%2fbge-base-en-v1.5",
        "%40cf%2Fbaai%2Fbge-base-en-v1%2E5",
        "cf/baai/bge-base-en-v1.5",
    ],
)
def test_finds_the_model_however_it_is_written(server: Server, model: str) -> None:
    """Every client's way to write a model into a URL works, as the bytes that it sends."""
    with server.connection() as connection:
        connection.post(b'{"text":"abc"}', f"/client/v4/accounts/me/ai/run/{model}")
        reply = connection.read()
    assert reply.status == 200
    assert reply.json["result"]["shape"] == [1, 3]


def test_reads_a_chunked_body(server: Server) -> None:
    """A body without a Content-Length is read to its end."""
    with server.connection() as connection:
        connection.send(f"POST {RUN_PATH} HTTP/1.1\r\nHost: here\r\n".encode())
        connection.send(b"Transfer-Encoding: chunked\r\n\r\n8\r\n" + b'{"text":')
        connection.send(b'\r\n5\r\n"ab"}\r\n0\r\n\r\n')
        assert connection.read().json["result"]["data"] == [[2.0, 0.0, 0.1]]


async def test_health_is_always_there(client: httpx.AsyncClient) -> None:
    """Health asks nothing of the service."""
    answer = await client.get("/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize(
    ("ready", "status", "body"),
    [
        (InTestReadiness(), 200, {"ready": True, "models": [MODEL]}),
        (
            InTestReadiness(is_ready=False, reason="loading", models=()),
            503,
            {"ready": False, "reason": "loading", "models": []},
        ),
    ],
)
async def test_ready_says_whether_and_why_not(
    client: httpx.AsyncClient,
    service: InTestService,
    ready: InTestReadiness,
    status: int,
    body: dict[str, Any],
) -> None:
    """Readiness is the service's own word."""
    service.ready = ready
    answer = await client.get("/ready")
    assert (answer.status_code, answer.json()) == (status, body)
