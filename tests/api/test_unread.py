"""Who does not read is cut off, who reads slowly is served: on each loop and kind of socket."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvloop
from api.certificates import make_certificate
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from satsuma.api.drain import Drain
from satsuma.api.head_limit import LimitedHeadProtocol
from satsuma.api.server import serve
from satsuma.settings import Settings

UNREAD_S = 1.0
BODY = bytes(range(256)) * (12 << 12)  # 12 MiB: more than both sides' systems take in
WITHIN_S = 20.0

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
KINDS = [
    ("uvloop", "tcp"),
    ("uvloop", "tls"),
    ("uvloop", "unix"),
    ("asyncio", "tcp"),
    ("asyncio", "tls"),
]


async def answer(request: Request) -> Response:
    """Answer at length, and close afterwards where the path says so."""
    headers = {"connection": "close"} if request.url.path == "/closing" else {}
    return Response(BODY, headers=headers)


class Place:
    """Where a server listens."""

    def __init__(self, settings: Settings) -> None:
        """Know no address yet."""
        self.settings = settings
        self.address: tuple[str, int] = ("", 0)
        self.is_ready = threading.Event()
        app = Starlette(routes=[Route("/{path}", answer)])
        app.state.drain = self.drain = Drain()
        self.app = app

    async def serve(self) -> None:
        """Serve until told to stop."""
        await serve(self.app, self.settings, self._tell)

    def _tell(self, host: str, port: int) -> None:
        self.address = (host, port)
        self.is_ready.set()

    def ask(self, path: str = "/any") -> socket.socket:
        """Connect, and ask; a client's own buffer is small."""
        is_unix = bool(self.settings.unix_socket)
        client = socket.socket(socket.AF_UNIX if is_unix else socket.AF_INET)
        client.settimeout(WITHIN_S)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        client.connect(self.address[0] if is_unix else self.address)
        if self.settings.tls_certificate:
            trust = ssl.create_default_context(cafile=self.settings.tls_certificate)
            client = trust.wrap_socket(client, server_hostname="127.0.0.1")
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: here\r\n\r\n".encode())
        return client


@contextmanager
def serving(settings: Settings, loop: str) -> Iterator[Place]:
    """Serve in a thread for the length of a block."""
    place = Place(settings)

    def run() -> None:
        with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
            runner.run(place.serve())

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert place.is_ready.wait(WITHIN_S)
        yield place
    finally:
        place.drain.start()
        thread.join()


@pytest.fixture
def place(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Place]:
    """A server of the kind that a test is about."""
    loop, kind = request.param
    monkeypatch.setattr(LimitedHeadProtocol, "unread_s", UNREAD_S)
    certificate = str(make_certificate(tmp_path)) if kind == "tls" else ""
    path = str(tmp_path / "socket") if kind == "unix" else ""
    with serving(Settings(port=0, tls_certificate=certificate, unix_socket=path), loop) as place:
        yield place


@dataclass(frozen=True)
class Read:
    """What a client got."""

    body: bytes
    took_s: float


def read(client: socket.socket, is_slow: Callable[[float], bool] = lambda _: False) -> Read:
    """Read until nothing more is to come; slowly while `is_slow` says so of the seconds so far."""
    got, start_s = bytearray(), time.monotonic()
    head_end = -1
    while head_end < 0 or len(got) < head_end + 4 + len(BODY):
        took_s = time.monotonic() - start_s
        time.sleep(0.1 if is_slow(took_s) else 0.0)
        try:
            part = client.recv(1 << 15 if is_slow(took_s) else 1 << 20)
        except (ConnectionError, ssl.SSLError):
            break
        if not part:
            break
        got += part
        head_end = got.find(b"\r\n\r\n") if head_end < 0 else head_end
    return Read(bytes(got[head_end + 4 :]), time.monotonic() - start_s)


def is_patient(took_s: float) -> bool:
    """Read slowly for longer than anybody is waited for."""
    return took_s < 2.5 * UNREAD_S


@pytest.mark.parametrize("place", KINDS, indirect=True, ids="-".join)
def test_who_reads_slowly_is_served_and_who_does_not_is_cut_off(place: Place) -> None:
    """Side by side, whether the connection is kept afterwards or not."""
    with ExitStack() as stack, ThreadPoolExecutor() as pool:
        lazy, slow = (
            [stack.enter_context(closing(place.ask(path))) for path in ("/kept", "/closing")]
            for _ in range(2)
        )
        for got in pool.map(lambda one: read(one, is_patient), slow):
            assert got.took_s > 2.5 * UNREAD_S
            assert got.body == BODY
        for client in lazy:
            assert len(read(client).body) < len(BODY)
