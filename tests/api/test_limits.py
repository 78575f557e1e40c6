from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, suppress

import httpx
import pytest
from api.in_test_service import InTestService
from api.serving import RUN_PATH, Server, server_process
from starlette.types import Message

from satsuma.api.app import create_app
from satsuma.settings import Settings

BEGINNINGS = (b"", b"GET /hea", b"GET /health HTTP/1.1\r\nX: y\r\n")


async def _chunks(num_bytes: int) -> AsyncIterator[bytes]:
    for _ in range(num_bytes // 1_000):
        yield b"x" * 1_000


async def test_refuses_a_chunked_body_above_the_limit(client: httpx.AsyncClient) -> None:
    """A body that does not say its length is counted while it is read."""
    answer = await client.post(RUN_PATH, content=_chunks(11_000))
    message = f"AiError: AiError: Request is too large ({answer.headers['cf-ai-req-id']})"
    assert answer.status_code == 413
    assert answer.json() == {
        "errors": [{"message": message, "code": 3006}],
        "success": False,
        "result": {},
        "messages": [],
    }


async def test_a_body_at_the_limit_is_read(client: httpx.AsyncClient) -> None:
    """The limit itself is allowed."""
    content = b'{"text":"' + b"x" * 9_989 + b'"}'
    assert len(content) == 10_000
    assert (await client.post(RUN_PATH, content=content)).status_code == 200
    assert (await client.post(RUN_PATH, content=content + b" ")).status_code == 413


def test_refuses_an_announced_length_at_once(server: Server) -> None:
    """A Content-Length above the limit is answered before any byte of the body."""
    with server.connection() as connection:
        head = f"POST {RUN_PATH} HTTP/1.1\r\nHost: here\r\nContent-Length: 100001\r\n\r\n"
        connection.send(head.encode())
        reply = connection.read()
    assert (reply.status, reply.code) == (413, 3006)


def test_a_connection_outlives_a_refused_body(server: Server) -> None:
    """The refused body is read away, so a client that sends it whole gets both answers."""
    with server.connection() as connection:
        connection.post(b"x" * 300_000)
        assert connection.read().status == 413
        connection.post(b'{"text":"a"}')
        assert connection.read().status == 200


@pytest.mark.parametrize("sent", [b"", b'{"text":'])
async def test_a_client_that_leaves_mid_body_makes_no_noise(
    service: InTestService, caplog: pytest.LogCaptureFixture, sent: bytes
) -> None:
    """Nothing is answered and nothing is logged when the body never ends."""
    messages: list[Message] = [
        {"type": "http.request", "body": sent, "more_body": True},
        {"type": "http.disconnect"},
    ]
    assert await _call(service, messages) == []
    assert service.requests == []
    assert [one for one in caplog.records if one.name == "satsuma.api"] == []


async def test_a_client_that_leaves_takes_its_work_along(service: InTestService) -> None:
    """Work for which nobody waits any more is cancelled."""
    messages: list[Message] = [
        {"type": "http.request", "body": b'{"text":"slow 5"}', "more_body": False},
        {"type": "http.disconnect"},
    ]
    assert await asyncio.wait_for(_call(service, messages), 1) == []
    assert service.num_cancelled == 1


async def _call(service: InTestService, messages: list[Message]) -> list[Message]:
    """Run the application on hand-written ASGI messages; gives what it sent."""
    app = create_app(service, Settings(), None)
    sent: list[Message] = []

    async def receive() -> Message:
        await asyncio.sleep(0.01)
        return messages.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": RUN_PATH,
        "raw_path": RUN_PATH.encode(),
        "root_path": "",
        "scheme": "http",
        "query_string": b"",
        "headers": [],
        "server": ("127.0.0.1", 80),
    }
    await app(scope, receive, send)
    return sent


def test_refuses_an_endless_head(server: Server) -> None:
    """Headers of any size would cost memory before anybody is asked who; others are served on."""
    with server.connection() as connection:
        connection.send(b"POST / HTTP/1.1\r\nHost: here\r\nX-Long: ")
        with suppress(ConnectionError):
            for _ in range(100):
                connection.send(b"x" * 100_000)
        with suppress(ConnectionError):
            assert connection.read().status == 431
    with server.connection() as connection:
        connection.post(b'{"text":"a"}')
        assert connection.read().status == 200


def test_many_requests_on_one_connection_are_not_one_long_head(server: Server) -> None:
    """Each head is counted by itself."""
    with server.connection() as connection:
        for _ in range(30):
            head = f"POST {RUN_PATH} HTTP/1.1\r\nHost: here\r\nX-Long: {'x' * 8_000}\r\n"
            for part in (head, 'Content-Length: 12\r\n\r\n{"text":"a"}'):
                connection.send(part.encode())
            assert connection.read().status == 200


async def test_a_body_that_does_not_come_is_given_up() -> None:
    """The deadline holds from the first byte on."""

    async def stalling() -> AsyncIterator[bytes]:
        yield b'{"text":'
        await asyncio.sleep(5)

    app = create_app(InTestService(), Settings(deadline_s=0.1), None)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
        answer = await client.post(RUN_PATH, content=stalling())
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (408, 3007)


def test_heads_that_do_not_end_are_cut_off() -> None:
    """Such connections would use up descriptors; one that works is left alone meanwhile."""
    with server_process(head_s=1.5) as server, ExitStack() as stack:
        working, *stalled = (stack.enter_context(server.connection()) for _ in range(4))
        for one, beginning in zip(stalled, BEGINNINGS, strict=True):
            one.send(beginning)
        for _ in range(4):
            working.send(b"GET /health HTTP/1.1\r\nHost: here\r\n\r\n")
            assert working.read().status == 200
            time.sleep(0.4)
        assert [one.is_closed() for one in stalled] == [True] * len(BEGINNINGS)
        working.send(b"GET /health HTTP/1.1\r\n")
        assert working.is_closed()
