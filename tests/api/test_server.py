from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from api.in_test_service import InTestService
from api.serving import RUN_PATH, Connection, Server, server_process

from satsuma.api.app import create_app
from satsuma.api.server import run, serve
from satsuma.errors import ConfigurationError
from satsuma.settings import Settings


@pytest.fixture
def own_server() -> Iterator[Server]:
    """Give a server process that the test may stop."""
    with server_process() as one:
        yield one


def _start_slow(connection: Connection, seconds: float) -> None:
    connection.post(f'{{"text":"slow {seconds}"}}'.encode())
    time.sleep(0.2)  # it is in the service now


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_drains(own_server: Server, number: signal.Signals) -> None:
    """On a signal, running requests finish, new ones get 503, and the process exits with 0."""
    with (
        own_server.connection() as busy,
        own_server.connection() as kept,
        own_server.connection() as idle,
    ):
        kept.post(b'{"text":"a"}')
        assert kept.read().status == 200
        _start_slow(busy, 0.8)
        own_server.signal(number)
        time.sleep(0.1)
        kept.post(b'{"text":"a"}')
        refusals = [kept.read()]
        with own_server.connection() as new:
            new.post(b'{"text":"a"}')
            refusals.append(new.read())
            assert new.is_closed()
        answered = busy.read()
        assert kept.is_closed()
        assert busy.is_closed()
        assert idle.is_closed()
    for refusal in refusals:
        assert (refusal.status, refusal.code) == (503, 3040)
        assert refusal.headers["connection"] == "close"
        assert refusal.headers["retry-after"] == "1"
    assert (answered.status, answered.headers["connection"]) == (200, "close")
    assert own_server.wait() == (0, "")


def test_health_stays_while_readiness_goes(own_server: Server) -> None:
    """A draining server is alive and not ready."""
    with own_server.connection() as busy:
        _start_slow(busy, 0.5)
        own_server.signal(signal.SIGTERM)
        time.sleep(0.1)
        statuses = []
        for path in ("/health", "/ready"):
            with own_server.connection() as probe:
                probe.send(f"GET {path} HTTP/1.1\r\nHost: here\r\n\r\n".encode())
                statuses.append(probe.read().status)
        assert statuses == [200, 503]
        assert busy.read().status == 200
    assert own_server.wait() == (0, "")


def test_an_idle_server_stops_at_once(own_server: Server) -> None:
    """Nothing runs, so nothing is waited for, open connections or not."""
    with own_server.connection():
        started_at_s = time.monotonic()
        own_server.signal(signal.SIGTERM)
        assert own_server.wait() == (0, "")
    assert time.monotonic() - started_at_s < 1.5


def test_cuts_what_takes_too_long() -> None:
    """After `drain_s` a running request is refused after all, and the exit code says so."""
    with server_process(drain_s=1.2) as server, server.connection() as busy:
        _start_slow(busy, 30)
        started_at_s = time.monotonic()
        server.signal(signal.SIGTERM)
        reply = busy.read()
        assert (reply.status, reply.code) == (503, 3040)
        assert reply.headers["connection"] == "close"
        assert server.wait() == (1, "")
    assert time.monotonic() - started_at_s < 2.5


def test_the_second_interrupt_ends_it(own_server: Server) -> None:
    """Ctrl-C twice means now."""
    with own_server.connection() as busy:
        _start_slow(busy, 30)
        own_server.signal(signal.SIGINT)
        time.sleep(0.2)
        own_server.signal(signal.SIGINT)
        assert own_server.wait()[0] == -signal.SIGINT


def test_junk_makes_no_noise(own_server: Server) -> None:
    """What is not HTTP is refused by the parser, without a line of log."""
    with own_server.connection() as connection:
        connection.send(b"\x16\x03\x01 junk\r\n\r\n")
        connection.is_closed()
    with own_server.connection() as connection:
        connection.send(
            b"POST /client/v4/accounts/me/ai/run/x HTTP/1.1\r\nContent-Length: 9\r\n\r\n"
        )
    own_server.signal(signal.SIGTERM)
    assert own_server.wait() == (0, "")


def _wait_until(is_so: Callable[[], bool]) -> bool:
    """Give it ten seconds."""
    end_s = time.monotonic() + 10
    while not is_so() and time.monotonic() < end_s:
        time.sleep(0.01)
    return is_so()


@pytest.mark.parametrize("num_bytes", [100, 90_000])
def test_a_client_that_leaves_is_noticed(num_bytes: int) -> None:
    """Behind a large body too, at which uvicorn stops reading."""
    service = InTestService()
    noticed = []

    def visit(_host: str, port: int) -> None:
        connection = Connection(port)
        connection.send(f"POST {RUN_PATH} HTTP/1.1\r\nContent-Length: {num_bytes}\r\n\r\n".encode())
        time.sleep(0.1)  # the application waits for the body now
        connection.send(b'{"text":"slow 60"}'.ljust(num_bytes))
        assert _wait_until(lambda: bool(service.requests))
        connection.close()
        noticed.append(_wait_until(lambda: service.num_cancelled == 1))
        os.kill(os.getpid(), signal.SIGTERM)

    def on_ready(host: str, port: int) -> None:
        threading.Thread(target=visit, args=(host, port)).start()

    settings = Settings(port=0, drain_s=1)
    assert run(serve(create_app(service, settings, None), settings, on_ready)) == 0
    assert noticed == [True]


def test_serves_in_this_process() -> None:
    """The address is reported once requests are answered, and a signal ends the call with 0."""
    settings, replies = Settings(port=0), []

    def visit(host: str, port: int) -> None:
        assert host == "127.0.0.1"
        connection = Connection(port)
        connection.post(b'{"text":"a"}')
        replies.append(connection.read().status)
        connection.close()
        os.kill(os.getpid(), signal.SIGTERM)

    def on_ready(host: str, port: int) -> None:
        threading.Thread(target=visit, args=(host, port)).start()

    app = create_app(InTestService(), settings, None)
    before = signal.getsignal(signal.SIGTERM)
    assert run(serve(app, settings, on_ready)) == 0
    assert replies == [200]
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_taken_port_is_told() -> None:
    """An address that cannot be listened on is a setting to change."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = Settings(port=taken.getsockname()[1])
        app = create_app(InTestService(), settings, None)
        with pytest.raises(ConfigurationError, match=r"Cannot listen on 127\.0\.0\.1"):
            run(serve(app, settings))
