"""`satsuma serve` as a stranger meets it: no hub, three clients, errors, signals."""

from __future__ import annotations

import http.client
import json
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import requests
from support.program import Server, environment, satsuma, serving

from satsuma import Ai
from satsuma.errors import ConfigurationError, RemoteError

ALL_MINILM = "@hf/sentence-transformers/all-minilm-l6-v2"
BGE_BASE = "@cf/baai/bge-base-en-v1.5"
MAX_BODY_BYTES = 10_000_000  # by default
HELLO_WORLD = [-0.03447729, 0.03102315, 0.00673496]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty home for all servers of this module."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[Server]:
    """A server with its defaults, and no hub to be reached."""
    with serving(env=environment(home)) as running:
        yield running


def check(answer: Any, num_texts: int = 1) -> None:
    """The whole envelope of 'hello world'."""
    assert list(answer) == ["result", "success", "errors", "messages"]
    assert list(answer["result"]) == ["shape", "data", "pooling", "usage"]
    assert answer["result"]["shape"] == [num_texts, 384]
    np.testing.assert_allclose(answer["result"]["data"][0][:3], HELLO_WORLD, atol=1e-6)


def test_python_requests(server: Server) -> None:
    """The Python call of Cloudflare's page."""
    response = requests.post(
        server.run_url(ALL_MINILM),
        headers={"Authorization": "Bearer some-token-of-twenty-characters"},
        json={"text": ["hello world", "another"]},
        timeout=30,
    )
    check(response.json(), num_texts=2)
    assert response.headers["content-type"] == "application/json"


def test_ten_megabytes_of_emoji(server: Server) -> None:
    """The largest body is one text of them: it is cut at the model's limit, and soon answered."""
    num_emoji = (MAX_BODY_BYTES - 100) // len("\U0001f34a".encode())
    body = json.dumps({"text": "\U0001f34a" * num_emoji}, ensure_ascii=False).encode()
    response = requests.post(server.run_url(ALL_MINILM), data=body, timeout=30)
    assert response.status_code == 200
    assert response.json()["result"]["shape"] == [1, 384]
    larger = body.replace(b'"}', b" " * 100 + b'"}')
    refused = requests.post(server.run_url(ALL_MINILM), data=larger, timeout=30)
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (413, 3006)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_without_a_content_type(server: Server) -> None:
    """The curl call of Cloudflare's page sends a form's content type."""
    command = ["curl", "-sS", server.run_url(ALL_MINILM), "-X", "POST"]
    command += ["-H", "Authorization: Bearer x", "-d", '{ "text": "hello world" }']
    check(json.loads(subprocess.check_output(command)))


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_node_fetch(server: Server) -> None:
    """The Node call of Cloudflare's page sends a string as text/plain."""
    script = """
      const [url, body] = process.argv.slice(1);
      const response = await fetch(url, { method: "POST", body,
        headers: { Authorization: "Bearer x" } });
      console.log(JSON.stringify(await response.json()));
    """
    body = json.dumps({"text": ["hello world"]})
    command = ["node", "--input-type=module", "-e", script, server.run_url(ALL_MINILM), body]
    check(json.loads(subprocess.check_output(command)))


def test_the_librarys_client(server: Server) -> None:
    """`Ai(base_url=...)` answers and fails as `Ai()` does."""
    with Ai(base_url=server.url, account_id="me", token="x" * 40) as ai:
        answer = ai.run(ALL_MINILM, {"text": "hello world", "pooling": "mean"})
        np.testing.assert_allclose(answer["data"][0][:3], HELLO_WORLD, atol=1e-6)
        with pytest.raises(RemoteError) as caught:
            ai.run("@cf/acme/none", {"text": "x"})
    assert (caught.value.status, caught.value.error_code) == (400, 5007)


def test_the_librarys_client_queues(server: Server) -> None:
    """`Ai(base_url=...)` puts requests into the queue and asks for them later, as a Worker does."""
    with Ai(base_url=server.url, account_id="me") as ai:
        inputs = {"requests": [{"text": "hello world", "external_reference": "r"}]}
        queued = ai.run(ALL_MINILM, inputs, queue_request=True)
        poll = {"request_id": queued["request_id"]}
        assert queued == {"status": "queued", **poll, "model": ALL_MINILM}
        end_s = time.monotonic() + 60
        while "responses" not in (result := ai.run(ALL_MINILM, poll)):
            assert time.monotonic() < end_s
            time.sleep(0.05)
    (response,) = result["responses"]
    np.testing.assert_allclose(response["result"]["data"][0][:3], HELLO_WORLD, atol=1e-6)
    assert (response["external_reference"], result["usage"]["total_tokens"]) == ("r", 4)


def test_there_is_no_queue_without_a_server() -> None:
    """`Ai()` says so before it loads anything."""
    with Ai() as ai, pytest.raises(ConfigurationError, match="base_url"):
        ai.run(ALL_MINILM, {"text": "x"}, queue_request=True)


def test_a_model_that_could_not_be_fetched_is_explained(server: Server) -> None:
    """Two lines at start, and 503 with the same words for each call."""
    reply = requests.post(server.run_url(BGE_BASE), json={"text": "x"}, timeout=30)
    assert reply.status_code == 503
    message = reply.json()["errors"][0]["message"]
    for text in (message, server.output):
        assert f"{BGE_BASE}: its weights could not be fetched" in text
        assert f"satsuma models pull {BGE_BASE}" in text


def test_the_start_says_what_to_try(server: Server) -> None:
    """A curl line that works as it is printed."""
    assert "any token, or none, is accepted" in server.output
    assert f"curl {server.run_url(ALL_MINILM, 'local')}" in server.output


def test_a_unix_socket_is_nothing_for_a_browser(home: Path, tmp_path: Path) -> None:
    """What is printed to try is curl's alone."""
    path = tmp_path / "satsuma.sock"
    flags = ("--model", ALL_MINILM, "--unix-socket", str(path))
    with serving(*flags, env=environment(home)) as running:
        assert f"curl --unix-socket {path} http://localhost/client/v4/" in running.output
        assert "browser" not in running.output
        assert running.terminate() == 0


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--tls-key", "key.pem"), "Error: tls_key needs tls_certificate"),
        (("--cors-origin", "nonsense"), "Error: cors_origin cannot be 'nonsense'"),
    ],
)
def test_wrong_settings_are_told(home: Path, flags: tuple[str, str], message: str) -> None:
    """In a sentence, before anything is loaded."""
    result = satsuma("serve", "--port", "0", *flags, env=environment(home))
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith(message)
    assert "Traceback" not in result.stderr


def test_ready_and_health(server: Server) -> None:
    """The process is up, and the model can answer."""
    assert requests.get(server.url + "/health", timeout=5).status_code == 200
    ready = requests.get(server.url + "/ready", timeout=5)
    assert ready.json() == {"ready": True, "models": [ALL_MINILM]}


def test_concurrent_clients_get_their_own_vectors(server: Server) -> None:
    """Texts of many clients share microbatches, and every client gets its own."""
    texts = [f"text number {n} " + "word " * (n * 7 % 60) for n in range(48)]
    url = server.run_url(ALL_MINILM)
    alone = [requests.post(url, json={"text": t}, timeout=60).json() for t in texts[:6]]
    answers: list[Any] = [None] * len(texts)

    def client(n: int) -> None:
        answers[n] = requests.post(url, json={"text": [texts[n], texts[0]]}, timeout=60).json()

    threads = [threading.Thread(target=client, args=(n,)) for n in range(len(texts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    first = alone[0]["result"]["data"][0]
    for answer in answers:
        np.testing.assert_allclose(answer["result"]["data"][1], first, atol=1e-6)
    for n, expected in enumerate(alone):
        actual = answers[n]["result"]["data"][0]
        np.testing.assert_allclose(actual, expected["result"]["data"][0], atol=1e-6)


def test_sigterm_lets_running_requests_finish(home: Path) -> None:
    """What was accepted is answered, and the exit code is 0."""
    body = json.dumps({"text": ["word " * 250] * 12}).encode()
    with serving("--model", ALL_MINILM, env=environment(home)) as running:
        url = running.run_url(ALL_MINILM)
        client = begin_request(url, len(body))
        running.process.send_signal(signal.SIGTERM)
        while requests.post(url, json={"text": "late"}, timeout=30).status_code != 503:
            time.sleep(0.01)  # the signal is on its way
        client.send(body)
        reply = client.getresponse()
        result = json.loads(reply.read())["result"]
        assert running.process.wait(30) == 0
    client.close()
    assert (reply.status, result["shape"]) == (200, [12, 384])
    assert reply.headers["connection"] == "close"


def begin_request(url: str, num_bytes: int) -> http.client.HTTPConnection:
    """Send a request's head; returns once the server asks for its body, so has accepted it."""
    parts = urlsplit(url)
    client = http.client.HTTPConnection(parts.netloc, timeout=60)
    client.putrequest("POST", parts.path)
    client.putheader("Content-Length", str(num_bytes))
    client.putheader("Expect", "100-continue")
    client.endheaders()
    assert client.sock.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
    return client


def test_a_model_that_was_asked_for_must_load(home: Path) -> None:
    """Otherwise the server stops, says why, and exits with 1."""
    with serving("--model", "@local/nothing", env=environment(home)) as running:
        assert running.process.wait(30) == 1
    assert "Error: There is no model @local/nothing" in running.output
    assert "Traceback" not in running.output


def test_beyond_loopback_a_token_is_needed(home: Path) -> None:
    """Refused without one; with one, callers must show it."""
    env = environment(home, SATSUMA_DATA_DIR=str(home / "secured"))
    refused = satsuma("serve", "--host", "0.0.0.0", "--port", "0", env=env)  # noqa: S104
    assert refused.returncode == 1
    assert "satsuma token create --account" in refused.stderr
    made = satsuma("token", "create", "--account", "me", "--json", env=env)
    token = json.loads(made.stdout)["token"]
    flags = ("--host", "0.0.0.0", "--model", ALL_MINILM)  # noqa: S104
    with serving(*flags, env=env) as running:
        url = running.run_url(ALL_MINILM).replace("0.0.0.0", "127.0.0.1")  # noqa: S104
        assert requests.post(url, json={"text": "x"}, timeout=30).status_code == 400
        header = {"Authorization": f"Bearer {token}"}
        check(requests.post(url, json={"text": "hello world"}, headers=header, timeout=30).json())


def test_a_taken_port_is_explained(home: Path) -> None:
    """With what to do, and no traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = satsuma("serve", "--port", port, "--model", ALL_MINILM, env=environment(home))
    assert result.returncode == 1
    assert f"Cannot listen on 127.0.0.1:{port}" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_server_with_no_model_at_all_does_not_start(home: Path) -> None:
    """Neither hub nor package index nor package: it says so and exits with 1."""
    env = environment(home, HF_HUB_OFFLINE="1", SATSUMA_MODEL="")
    hidden = """
from satsuma.store import local
local.package_place = lambda *_: None
from satsuma.cli.main import main
main()
"""
    env |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "", "PIP_EXTRA_INDEX_URL": ""}
    env |= {"PIP_CONFIG_FILE": "/dev/null"}
    result = subprocess.run(
        [sys.executable, "-c", hidden, "serve", "--port", "0", "--models-dir", str(home / "none")],
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 1
    assert "nothing can be served" in result.stderr
    assert "Traceback" not in result.stderr
