"""Requests that two servers in a row could read differently: refused, and the connection ends."""

from __future__ import annotations

import socket

import pytest
from api.serving import RUN_PATH, Server

BODY = b'{"text":"a"}'
SMUGGLED = b"GET /health HTTP/1.1\r\nHost: smuggled\r\n\r\n"
CHUNKED = b"0\r\n\r\n" + SMUGGLED
WAITS_S = 5.0


def converse(server: Server, *headers: bytes, body: bytes) -> bytes:
    """Send a request and what is hidden behind it; gives all that comes until the server ends it.

    Raises:
        TimeoutError: if the server leaves the connection open.
    """
    head = b"\r\n".join([f"POST {RUN_PATH} HTTP/1.1".encode(), b"Host: here", *headers])
    with socket.create_connection(("127.0.0.1", server.port), timeout=WAITS_S) as one:
        one.sendall(head + b"\r\n\r\n" + body)
        return b"".join(iter(lambda: one.recv(65_536), b""))


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ([b"Content-Length: 12", b"Transfer-Encoding: chunked"], CHUNKED),
        ([b"Transfer-Encoding: chunked", b"Content-Length: 12"], CHUNKED),
        ([b"Content-Length: 12", b"Content-Length: 53"], BODY + SMUGGLED),
        ([b"Content-Length: 12, 53"], BODY + SMUGGLED),
        ([b"Content-Length: +12"], BODY + SMUGGLED),
        ([b"Content-Length: 0x0c"], BODY + SMUGGLED),
        ([b"Content-Length : 12"], BODY + SMUGGLED),
        ([b"Content-Length: 12", b" Transfer-Encoding: chunked"], BODY + SMUGGLED),
        ([b"Transfer-Encoding : chunked"], CHUNKED),
        ([b"Transfer-Encoding: xchunked"], CHUNKED),
        ([b"Transfer-Encoding: chunked, identity"], CHUNKED),
        ([b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"], CHUNKED),
        ([b"Transfer-Encoding: chunked"], b"0x5\r\nhello\r\n" + CHUNKED),
        ([b"Transfer-Encoding: chunked"], b"-5\r\nhello\r\n" + CHUNKED),
        ([b"Transfer-Encoding: chunked"], b"fffffffffffffffff\r\nhello\r\n" + CHUNKED),
        ([b"Transfer-Encoding: chunked"], b"5\r\nhelloXX" + CHUNKED),
        ([b"Content-Length: 12\nX: y"], BODY + SMUGGLED),
        ([b"Content-Length: 12\rX: y"], BODY + SMUGGLED),
        ([b"X: \0", b"Content-Length: 12"], BODY + SMUGGLED),
    ],
)
def test_an_ambiguous_request_ends_its_connection(
    server: Server, headers: list[bytes], body: bytes
) -> None:
    """One refusal at most, and nobody answers what was hidden in it."""
    told = converse(server, *headers, body=body)
    assert told.count(b"HTTP/1.1 ") <= 1
    assert told == b"" or told.startswith(b"HTTP/1.1 400 ")
    assert b"healthy" not in told
    with server.connection() as connection:
        connection.post(BODY)
        assert connection.read().status == 200


def test_what_is_not_ambiguous_is_two_requests(server: Server) -> None:
    """The look above would see a second answer."""
    told = converse(
        server,
        b"Content-Length: 12",
        body=BODY + SMUGGLED.replace(b"smuggled", b"here\r\nConnection: close"),
    )
    assert told.count(b"HTTP/1.1 200 ") == 2
