"""Where a server listens, and who may call it from a page: Unix sockets, TLS, CORS."""

from __future__ import annotations

import asyncio
import socket
import ssl
import stat
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from api.certificates import make_certificate
from api.in_test_service import InTestService

from satsuma.api.app import create_app
from satsuma.api.listening import listen, url_of
from satsuma.api.server import serve
from satsuma.auth.exposure import check_exposure, open_access
from satsuma.auth.tokens import TokenStore
from satsuma.errors import ConfigurationError
from satsuma.settings import Settings


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[tuple[str, int]]:
    """Serve in this process, for the length of a block."""
    ready: asyncio.Future[tuple[str, int]] = asyncio.get_running_loop().create_future()
    app = create_app(InTestService(), settings, None)
    running = asyncio.create_task(
        serve(app, settings, lambda host, port: ready.set_result((host, port)))
    )
    done, _ = await asyncio.wait((ready, running), return_when=asyncio.FIRST_COMPLETED)
    if running in done:
        await running
    try:
        yield ready.result()
    finally:
        app.state.drain.start()
        await running


async def test_a_unix_socket(tmp_path: Path) -> None:
    """It is the owner's and the group's, and gone when the server is."""
    path = tmp_path / "satsuma.sock"
    async with serving(Settings(unix_socket=str(path))) as (place, _):
        assert place == str(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        transport = httpx.AsyncHTTPTransport(uds=str(path))
        async with httpx.AsyncClient(transport=transport) as client:
            assert (await client.get("http://localhost/health")).status_code == 200
    assert not path.exists()


def test_a_killed_server_s_socket_is_taken_over(tmp_path: Path) -> None:
    """A living server's is not, and neither is a file."""
    path = tmp_path / "satsuma.sock"
    settings = Settings(unix_socket=str(path))
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with listen(settings), pytest.raises(ConfigurationError, match="a server does already"):
        listen(settings).__enter__()
    path.write_text("mine")
    with pytest.raises(ConfigurationError, match="no socket"):
        listen(settings).__enter__()
    assert path.read_text() == "mine"


def test_a_socket_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """With the system's reason."""
    settings = Settings(unix_socket=str(tmp_path / "nowhere" / "satsuma.sock"))
    with pytest.raises(ConfigurationError, match="No such file"):
        listen(settings).__enter__()


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate of this machine's own, with its key in the same file."""
    return make_certificate(tmp_path)


async def test_tls(certificate: Path) -> None:
    """Checked by the client as any other server's."""
    settings = Settings(port=0, tls_certificate=str(certificate))
    async with serving(settings) as (host, port):
        trust = ssl.create_default_context(cafile=certificate)
        async with httpx.AsyncClient(verify=trust) as client:
            answer = await client.get(f"{url_of(settings, host, port)}/health")
    assert answer.status_code == 200
    assert answer.url.scheme == "https"


async def test_a_bad_certificate_is_told(tmp_path: Path) -> None:
    """Before anything listens."""
    bad = tmp_path / "bad.pem"
    bad.write_text("no certificate")
    for path in (bad, tmp_path / "missing.pem"):
        with pytest.raises(ConfigurationError, match="cannot be used"):
            async with serving(Settings(port=0, tls_certificate=str(path))):
                pass


@pytest.fixture
def locked_key(certificate: Path, tmp_path: Path) -> Path:
    """The certificate's key behind a password, and before the certificate in `.both`."""
    path = tmp_path / "locked.pem"
    command = ["openssl", "pkey", "-aes256", "-passout", "pass:secret"]
    subprocess.run([*command, "-in", certificate, "-out", path], check=True, capture_output=True)
    both = path.read_bytes() + (tmp_path / "certificate.pem").read_bytes()
    path.with_suffix(".both").write_bytes(both)
    return path


@pytest.mark.parametrize("has_own_file", [True, False])
async def test_a_key_with_a_password_is_told(
    certificate: Path, locked_key: Path, has_own_file: bool
) -> None:
    """In a sentence, where OpenSSL would ask on the terminal."""
    settings = Settings(port=0, tls_certificate=str(locked_key.with_suffix(".both")))
    if has_own_file:
        settings = replace(settings, tls_certificate=str(certificate), tls_key=str(locked_key))
    with pytest.raises(ConfigurationError, match="has a password, and satsuma reads no such keys"):
        async with serving(settings):
            pass


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        (Settings(), "http://127.0.0.1:1"),
        (Settings(host="::1"), "http://[::1]:1"),
        (Settings(tls_certificate="a.pem"), "https://127.0.0.1:1"),
        (Settings(unix_socket="/run/a"), "http://localhost"),
    ],
)
def test_urls(settings: Settings, url: str) -> None:
    """What a client calls."""
    assert url_of(settings, settings.host, 1) == url


def test_a_unix_socket_needs_no_token(tmp_path: Path) -> None:
    """The system says who may open it; a token counts from the first one on."""
    settings = Settings(host="0.0.0.0", unix_socket="/run/a")  # noqa: S104 - is not listened on
    tokens = TokenStore(tmp_path / "tokens.json")
    check_exposure(settings, tokens)
    assert open_access(settings, tokens)
    with pytest.raises(ConfigurationError):
        check_exposure(replace(settings, unix_socket=""), tokens)
    tokens.create("me")
    assert not open_access(settings, tokens)


async def preflight(settings: Settings, origin: str) -> httpx.Response:
    """Ask as a browser does before a page's POST."""
    app = create_app(InTestService(), settings, None)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://satsuma") as client:
        headers = {"origin": origin, "access-control-request-method": "POST"}
        return await client.options("/v1/embeddings", headers=headers)


async def test_no_page_may_call_unless_asked_for() -> None:
    """CORS is off."""
    answer = await preflight(Settings(), "https://app.example.com")
    assert "access-control-allow-origin" not in answer.headers


async def test_pages_of_named_origins_may_call() -> None:
    """And no others."""
    settings = Settings(cors_origin=("https://app.example.com",))
    answer = await preflight(settings, "https://app.example.com")
    assert answer.headers["access-control-allow-origin"] == "https://app.example.com"
    answer = await preflight(settings, "https://other.example.com")
    assert "access-control-allow-origin" not in answer.headers
