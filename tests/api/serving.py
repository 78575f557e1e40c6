"""Runs the real server on a loopback port for a test, and speaks raw HTTP to it.

As a program (`python serving.py DRAIN_S MAX_BODY_BYTES`), it prints its port and serves until a
signal ends it.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # as pytest's `pythonpath`

from api.in_test_service import MODEL, InTestService

from satsuma.api.app import create_app
from satsuma.api.head_limit import LimitedHeadProtocol
from satsuma.api.server import run, serve
from satsuma.settings import Settings

RUN_PATH = f"/client/v4/accounts/me/ai/run/{MODEL}"


@dataclass(frozen=True)
class Reply:
    """What came back over the socket."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """Decode the body."""
        return json.loads(self.body)

    @property
    def code(self) -> int:
        """Give the first error's code."""
        return int(self.json["errors"][0]["code"])


class Connection:
    """One keep-alive connection that writes exactly the bytes it is told."""

    def __init__(self, port: int) -> None:
        """Connect."""
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=5)
        self._file = self._socket.makefile("rb")

    def send(self, raw: bytes) -> None:
        """Write bytes as they are."""
        self._socket.sendall(raw)

    def post(self, content: bytes, path: str = RUN_PATH) -> None:
        """Write a whole request."""
        head = f"POST {path} HTTP/1.1\r\nHost: here\r\nContent-Length: {len(content)}\r\n\r\n"
        self.send(head.encode() + content)

    def read(self) -> Reply:
        """Read one answer."""
        status = int(self._file.readline().split()[1])
        lines = iter(self._file.readline, b"\r\n")
        pairs = (line.decode().strip().split(": ", 1) for line in lines)
        headers = {name.lower(): value for name, value in pairs}
        return Reply(status, headers, self._file.read(int(headers["content-length"])))

    def is_closed(self) -> bool:
        """Wait for the server to close its side."""
        return self._file.read(1) == b""

    def close(self) -> None:
        """Hang up."""
        self._file.close()
        self._socket.close()


@dataclass
class Server:
    """A server process."""

    process: subprocess.Popen[bytes]
    port: int

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """Open a connection for the length of a block."""
        connection = Connection(self.port)
        try:
            yield connection
        finally:
            connection.close()

    def signal(self, number: signal.Signals) -> None:
        """Send the process a signal."""
        self.process.send_signal(number)

    def wait(self) -> tuple[int, str]:
        """Wait for the end; gives the exit code and what was written to stderr."""
        _, stderr = self.process.communicate(timeout=10)
        return self.process.returncode, stderr.decode()


@contextmanager
def server_process(
    *, drain_s: float = 5, max_body_bytes: int = 100_000, head_s: float = 20
) -> Iterator[Server]:
    """Run this file as a program for the length of a block."""
    process = subprocess.Popen(
        [sys.executable, __file__, str(drain_s), str(max_body_bytes), str(head_s)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONWARNINGS": "error"},
    )
    try:
        assert process.stdout is not None
        yield Server(process, int(process.stdout.readline()))
    finally:
        process.kill()
        process.communicate()


async def _main(drain_s: float, max_body_bytes: int) -> int:
    settings = Settings(port=0, drain_s=drain_s, max_body_bytes=max_body_bytes)
    app = create_app(InTestService(), settings, None)
    return await serve(app, settings, lambda _host, port: print(port, flush=True))  # noqa: T201


if __name__ == "__main__":
    LimitedHeadProtocol.head_s = float(sys.argv[3])
    sys.exit(run(_main(float(sys.argv[1]), int(sys.argv[2]))))
