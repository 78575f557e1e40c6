"""What comes in over the network: bodies of every route, and raw bytes on the socket."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from api.in_test_service import MODEL, InTestService
from api.serving import Server, server_process
from hypothesis import strategies as st

from satsuma.api.app import create_app
from satsuma.api.errors import error_rows
from satsuma.settings import Settings
from support.fuzz.strategies import any_json, changed_json, raw_requests
from support.fuzz.target import Check, Target, named_by_first

_DOCUMENTED = {(status, code) for _, _, status, code, _ in error_rows() if status < 500}
_WAITS_S = 3.0
_PATHS = (
    f"/client/v4/accounts/me/ai/run/{MODEL}",
    f"/client/v4/accounts/me/ai/run/{MODEL}?queueRequest=true",
    "/run?version=3",
    "/ai-gateway/run?version=3",
    "/v1/embeddings",
    "/client/v4/accounts/me/ai/v1/embeddings",
    "/satsuma/tokenize",
    "/client/v4/accounts/me/ai/models/search",
)
_BODIES: list[dict[str, Any]] = [
    {"text": ["a", "b"], "pooling": "cls"},
    {"requests": [{"text": "a", "external_reference": "r"}]},
    {"request_id": "768f15b7-4fd6-4498-906e-ad94ffc7f8d2"},
    {"inputs": {"text": "a"}, "options": {"queueRequest": True}},
    {"model": MODEL, "input": ["a", [101, 102]], "encoding_format": "base64", "dimensions": 3},
    {"model": MODEL, "text": "a"},
]
_HEADERS = st.dictionaries(
    st.sampled_from(
        ("content-type", "content-encoding", "accept", "authorization", "cf-consn-model-id", "x")
    ),
    st.binary(max_size=30).map(lambda one: one.replace(b"\r", b"").replace(b"\n", b"")),
    max_size=3,
)


@contextmanager
def open_bodies(_: Path) -> Iterator[Check]:
    """Try bodies on an application, without a network."""
    app = create_app(InTestService(), Settings(max_body_bytes=100_000), None)
    with asyncio.Runner() as runner:

        async def ask(path: str, body: bytes, headers: dict[str, bytes]) -> httpx.Response:
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
                named = {b"cf-consn-model-id": MODEL.encode()}
                named |= {name.encode(): value for name, value in headers.items()}
                sent = list(named.items())
                return await client.post(path, content=body, headers=sent)

        def check(asked: tuple[str, bytes, dict[str, bytes]]) -> None:
            judge(runner.run(ask(*asked)))

        yield check


def judge(answer: httpx.Response) -> None:
    """Expect an answer, or an error of the table in one of the known shapes.

    Raises:
        AssertionError: if it is another.
    """
    if answer.status_code == 200:
        assert answer.json()
        return
    told = answer.json()
    code = told["internalCode"] if "internalCode" in told else told["errors"][0]["code"]
    is_queue_missing = (answer.status_code, code) == (503, 3040)  # there is none here
    assert (answer.status_code, code) in _DOCUMENTED or is_queue_missing, answer.text


@contextmanager
def open_socket(_: Path) -> Iterator[Check]:
    """Try bytes on a real server's socket; after each, another client is served."""
    with server_process() as server:

        def check(raw: bytes) -> None:
            status = send_raw(server, raw)
            assert status is None or 100 <= status < 500 or status in {501, 505}, status
            with server.connection() as connection:
                connection.post(b'{"text":"a"}')
                assert connection.read().status == 200

        yield check


def send_raw(server: Server, raw: bytes) -> int | None:
    """Send bytes and no more, and read the status of the first answer; None if there is none."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=_WAITS_S) as one:
        try:
            one.sendall(raw)
            one.shutdown(socket.SHUT_WR)
            answer = one.recv(100)
        except ConnectionError:
            return None
    return int(answer.split()[1]) if answer.startswith(b"HTTP/1.1 ") else None


SERVER_TARGETS = (
    Target(
        "bodies",
        "bodies of every route, odd members, odd bytes, endless nesting, odd headers",
        "an answer, or a refusal that docs/errors.md has; never a 5xx",
        st.tuples(
            st.sampled_from(_PATHS),
            changed_json(_BODIES)
            | any_json().map(lambda one: json.dumps(one).encode())
            | st.binary(max_size=100),
            _HEADERS,
        ),
        open_bodies,
        tuple(
            bytes([place]) + json.dumps(body).encode()
            for place in range(len(_PATHS))
            for body in _BODIES
        ),
        lambda raw: (*named_by_first(_PATHS)(raw), {}),
    ),
    Target(
        "sockets",
        "heads, bodies, chunks and junk in any order, on a real server's socket",
        "a 4xx or a closed connection; the next client is served",
        raw_requests(),
        open_socket,
    ),
)
