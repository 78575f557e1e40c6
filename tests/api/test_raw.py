"""Vectors as bytes: who gets them, what they are, and what has no bytes."""

from __future__ import annotations

from typing import Any

import httpx
import numpy as np
import pytest
from api.in_test_service import MODEL, InTestService
from api.serving import RUN_PATH, Server

from satsuma.errors import OverloadedError
from satsuma.store.catalog import bundled_catalog
from satsuma.store.manifest import ModelManifest

BYTES = {"accept": "application/octet-stream"}
EMBEDDINGS = "/v1/embeddings"
ROWS = [[3.0, 0.0, np.float32(0.1)], [1.0, 1.0, np.float32(0.1)]]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (RUN_PATH, {"text": ["abc", "d"]}),
        (EMBEDDINGS, {"model": MODEL, "input": ["abc", "d"]}),
        (EMBEDDINGS, {"model": MODEL, "input": ["abc", "d"], "encoding_format": "base64"}),
    ],
)
async def test_rows_come_as_little_endian_float32(
    client: httpx.AsyncClient, path: str, body: dict[str, Any]
) -> None:
    """The body is the rows alone, and headers have their shape, pooling and tokens."""
    answer = await client.post(path, json=body, headers=BYTES)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["x-satsuma-shape"] == "2, 3"
    assert answer.headers["x-satsuma-pooling"] == "mean"
    assert answer.headers["x-satsuma-prompt-tokens"] == "8"
    assert np.frombuffer(answer.content, "<f4").reshape(2, 3).tolist() == ROWS


@pytest.mark.parametrize(
    ("accept", "is_bytes"),
    [
        ([("accept", "*/*"), ("accept", "application/octet-stream")], True),
        ([("accept", "application/json;q=0, application/octet-stream")], True),
        ([("accept", "application/octet-stream;q=0, */*")], False),
        ([("accept", "application/octet-stream, application/json;q=0.1")], False),
    ],
)
async def test_what_is_ruled_out_is_not_given(
    client: httpx.AsyncClient, accept: list[tuple[str, str]], *, is_bytes: bool
) -> None:
    """All lines of `Accept` count, and a quality of 0 is a refusal."""
    answer = await client.post(RUN_PATH, json={"text": "abc"}, headers=accept)
    assert (answer.headers["content-type"] == "application/octet-stream") == is_bytes


async def test_bytes_have_the_headers_of_json(client: httpx.AsyncClient) -> None:
    """Whatever is told of vectors is told of these as well."""
    written = await client.post(RUN_PATH, json={"text": "abc"})
    raw = await client.post(RUN_PATH, json={"text": "abc"}, headers=BYTES)
    assert set(written.headers) < set(raw.headers)


def test_bytes_come_over_a_connection(server: Server) -> None:
    """With their length, so that the connection stays usable."""
    head = f"POST {RUN_PATH} HTTP/1.1\r\nHost: here\r\nAccept: application/octet-stream\r\n"
    with server.connection() as connection:
        for _ in range(2):
            connection.send(f"{head}Content-Length: 14\r\n\r\n".encode() + b'{"text":"abc"}')
            reply = connection.read()
            assert np.frombuffer(reply.body, "<f4").tolist() == ROWS[0]


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("*/*", "application/json"),
        ("application/*", "application/json"),
        ("application/json, application/octet-stream", "application/json"),
        ("application/octet-streams", "application/json"),
        ("text/html, Application/Octet-Stream;q=0.9", "application/octet-stream"),
        ("application/octet-stream, */*;q=0.1", "application/octet-stream"),
    ],
)
async def test_who_takes_json_gets_json(
    client: httpx.AsyncClient, accept: str, media_type: str
) -> None:
    """Bytes are for those who name them and no JSON."""
    answer = await client.post(RUN_PATH, json={"text": "a"}, headers={"accept": accept})
    assert answer.headers["content-type"] == media_type


@pytest.mark.parametrize(
    "body", [{"requests": [{"text": "a"}]}, {"request_id": "79b37c3d-7a5b-4b2a-a7b0-5d9c6c1b8a2e"}]
)
async def test_jobs_are_not_acceptable_as_bytes(
    client: httpx.AsyncClient, body: dict[str, Any]
) -> None:
    """They are refused before they are queued, in JSON."""
    answer = await client.post(RUN_PATH, json=body, headers=BYTES)
    assert answer.status_code == 406
    (error,) = answer.json()["errors"]
    assert error["code"] == 5006
    assert "a queued request is answered in JSON" in error["message"]


@pytest.mark.parametrize(
    "body",
    [{"query": "a", "contexts": [{"text": "b"}]}, {"text": "a", "outputs": ["sparse"]}],
)
async def test_more_than_vectors_is_not_acceptable_as_bytes(
    client: httpx.AsyncClient,
    service: InTestService,
    monkeypatch: pytest.MonkeyPatch,
    body: dict[str, Any],
) -> None:
    """Scores, and what stands beside vectors, are refused before anything is embedded."""

    def find_m3(_model: str) -> ModelManifest:
        found = bundled_catalog().find("@cf/baai/bge-m3")
        assert found is not None
        return found

    monkeypatch.setattr(service, "manifest", find_m3)
    answer = await client.post(RUN_PATH, json=body, headers=BYTES)
    assert answer.status_code == 406
    assert "for vectors alone" in answer.json()["errors"][0]["message"]
    assert service.requests == []


async def test_errors_stay_json(client: httpx.AsyncClient, service: InTestService) -> None:
    """Whatever the client takes."""
    service.error = OverloadedError("full", retry_after_s=3)
    answer = await client.post(RUN_PATH, json={"text": "a"}, headers=BYTES)
    assert answer.status_code == 429
    assert answer.json()["errors"][0]["code"] == 3040
