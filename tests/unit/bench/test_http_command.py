"""`satsuma bench http`: what it refuses to start with, and what it asks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from click.testing import CliRunner

from satsuma.bench.__main__ import main as engine
from satsuma.bench.http_address import find_loaded_model
from satsuma.bench.http_command import http

NOBODY = "http://127.0.0.1:9"


class Ready(BaseHTTPRequestHandler):
    """Answers `/ready` as satsuma does, and any other path as other servers do."""

    def do_GET(self) -> None:
        """Answer."""
        answer = b'{"ready":true,"models":["m"]}' if self.path == "/ready" else b'{"no":"way"}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Stay silent."""


@pytest.fixture
def url() -> Iterator[str]:
    """Serve on loopback."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Ready) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--rate", "inf"), "inf is not in the range"),
        (("--rate", "1e9"), "is not in the range"),
        (("--rate", "nan"), "nan is not a finite number"),
        (("--duration", "nan"), "nan is not a finite number"),
        (("--warmup", "inf"), "inf is not in the range"),
        (("--slo-ms", "inf"), "inf is not a finite number"),
        (("--rate", "9999", "--duration", "9999"), "requests are too many"),
    ],
)
def test_numbers_that_nobody_can_count_to_are_refused(flags: tuple[str, ...], says: str) -> None:
    """Before anything is asked."""
    result = CliRunner().invoke(http, ["--url", NOBODY, *flags])
    assert result.exit_code == 2
    assert says in " ".join(result.output.split())


def test_the_other_benchmarks_refuse_them_too() -> None:
    """They share the flag."""
    result = CliRunner().invoke(engine, ["--seconds", "nan"])
    assert result.exit_code == 2
    assert "nan is not a finite number" in result.output


@pytest.mark.parametrize(
    "address", ["ftp://127.0.0.1", "127.0.0.1:7768", "http://", "http://h:99999", "http://[::1"]
)
def test_other_addresses_are_refused(address: str) -> None:
    """Nothing is taken for HTTP that does not say so."""
    result = CliRunner().invoke(http, ["--url", address])
    assert result.exit_code == 2
    assert "is no address such as" in result.output


def test_a_slash_at_an_address_s_end_is_left_off(url: str) -> None:
    """The model is found; what it is then asked, this server does not know."""
    flags = ("--url", f"{url}/", "--duration", "0.1", "--warmup", "0")
    result = CliRunner().invoke(http, flags)
    assert "No satsuma answers" not in result.output
    assert "no request was answered with vectors:" in result.output
    assert "x 501." in result.output


def test_another_server_is_told(url: str) -> None:
    """By what it answers."""
    assert find_loaded_model(url) == "m"
    result = CliRunner().invoke(http, ["--url", f"{url}/elsewhere"])
    assert result.exit_code == 1
    assert "/ready answers 200, and names no models" in result.output
