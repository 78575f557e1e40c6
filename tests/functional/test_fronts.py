"""`satsuma serve --http-processes 2`: as one process, whatever happens to any of them."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import requests
from support.program import Server, environment, satsuma, serving

from satsuma import Ai

ALL_MINILM = "@hf/sentence-transformers/all-minilm-l6-v2"
FLAGS = ("--model", ALL_MINILM, "--http-processes", "2")
LONG = {"text": ["word " * 250] * 100}  # seconds of work
_WITHIN_S = 20.0

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

DYING = """
import os, sys
if "satsuma.cli.front" in sys.orig_argv:
    os._exit(3)
"""


class Fronts:
    """A server of two fronts, and tokens for it."""

    def __init__(self, server: Server, **tokens: str) -> None:
        """Keep them.

        `narrow` may make three requests a minute, `few` and `fewer` may have 50 tokens embedded,
        and `wide` may do anything.
        """
        self.server = server
        self.tokens = tokens

    def ids(self) -> list[int]:
        """Process ids of the fronts that were started and are not gone."""
        found = re.findall(r"is ready \(process id (\d+)\)", self.server.output)
        return [one for one in map(int, found) if is_there(one)]

    def call(self, body: Any, who: str = "wide") -> requests.Response:
        """Ask over a new connection."""
        headers = self.header(who) | {"Connection": "close"}
        return requests.post(self.url, json=body, headers=headers, timeout=_WITHIN_S)

    def header(self, who: str = "wide") -> dict[str, str]:
        """What shows a token."""
        return {"Authorization": f"Bearer {self.tokens[who]}"}

    @property
    def url(self) -> str:
        """Where the model is."""
        return self.server.run_url(ALL_MINILM)

    def count(self, name: str) -> float:
        """Read a sample from a scrape."""
        url = self.server.url + "/metrics"
        text = requests.get(url, headers=self.header(), timeout=_WITHIN_S).text
        found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
        assert found is not None, text
        return float(found[1])

    @contextmanager
    def only(self, index: int) -> Iterator[None]:
        """Stop the other front, so that this one answers every new connection."""
        (other,) = (one for number, one in enumerate(self.ids()) if number != index)
        os.kill(other, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(other, signal.SIGCONT)


def is_there(process_id: int) -> bool:
    """Whether a process has not ended; one that nobody has waited for has."""
    try:
        status = Path(f"/proc/{process_id}/status").read_text()
    except FileNotFoundError:
        return False
    return "State:\tZ" not in status


def wait_until(is_so: Callable[[], bool]) -> None:
    """Wait, not for ever."""
    end_s = time.monotonic() + _WITHIN_S
    while not is_so():
        assert time.monotonic() < end_s
        time.sleep(0.02)


def make_token(env: dict[str, str], *flags: str) -> str:
    """Make a token of the account `me`."""
    made = satsuma("token", "create", "--account", "me", "--json", *flags, env=env)
    return str(json.loads(made.stdout)["token"])


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty home for all servers of this module."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def fronts(home: Path) -> Iterator[Fronts]:
    """A server that no test stops."""
    env = environment(home, SATSUMA_DATA_DIR=str(home / "shared"))
    tokens = {
        "wide": make_token(env),
        "narrow": make_token(env, "--requests-per-minute", "3"),
        "few": make_token(env, "--tokens-per-minute", "50"),
        "fewer": make_token(env, "--tokens-per-minute", "50"),
    }
    with serving(*FLAGS, env=env) as running:
        yield Fronts(running, **tokens)


REQUESTS = f'satsuma_requests_total{{model="{ALL_MINILM}",route="run",status="200"}}'


def test_both_answer_and_their_counts_are_one(fronts: Fronts) -> None:
    """The vectors of one process, bit for bit, from each; and a scrape tells of all requests."""
    with Ai() as ai:
        expected = ai.run(ALL_MINILM, {"text": ["hello world", "another"]})["data"]
    before = fronts.count(REQUESTS)
    for index in (0, 1):
        with fronts.only(index):
            for _ in range(index + 1):
                answer = fronts.call({"text": ["hello world", "another"]}).json()
                np.testing.assert_array_equal(
                    np.float32(answer["result"]["data"]), np.float32(expected)
                )
    assert fronts.count(REQUESTS) == before + 3


def test_a_quota_is_one_for_all(fronts: Fronts) -> None:
    """Three requests a minute, whichever front they come to."""
    statuses = []
    for index in (0, 1):
        with fronts.only(index):
            answers = [fronts.call({"text": "x"}, "narrow") for _ in range(2)]
            statuses += [one.status_code for one in answers]
    assert statuses == [200, 200, 200, 429]
    assert answers[0].headers["ratelimit"].startswith('"requests";r=0;')


def test_tokens_under_way_count_for_all(fronts: Fronts) -> None:
    """Of fifteen at once, each beyond the quota, one overdraws, whichever fronts they come to."""
    body = {"text": ["some words to embed"] * 100}
    with ThreadPoolExecutor(15) as pool:
        answers = list(pool.map(lambda _: fronts.call(body, "few"), range(15)))
    assert sorted(one.status_code for one in answers) == [200] + [429] * 14
    assert all(one.headers["ratelimit"].startswith('"tokens";r=0;') for one in answers)


def test_queued_tokens_count_for_all(fronts: Fronts) -> None:
    """One job overdraws; the other front takes no more, and tells what became of the first."""
    url, header = fronts.url + "?queueRequest=true", fronts.header("fewer")
    body = {"requests": [{"text": ["some words to embed"] * 100}]}

    def queue() -> requests.Response:
        headers = header | {"Connection": "close"}
        return requests.post(url, json=body, headers=headers, timeout=_WITHIN_S)

    with fronts.only(0):
        queued = queue()
        assert queued.status_code == 200
    with fronts.only(1):
        assert queue().status_code == 429
        assert fronts.call({"text": "x"}, "fewer").status_code == 429
        poll = {"request_id": queued.json()["result"]["request_id"]}
        wait_until(lambda: "responses" in fronts.call(poll, "fewer").json()["result"])


def test_errors_and_readiness_are_the_same(fronts: Fronts) -> None:
    """Whichever process they come from."""
    refused = fronts.call({"text": ""})
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (400, 5006)
    long = fronts.call({"text": "x", "pooling": "max"})
    assert long.status_code == 400
    ready = requests.get(fronts.server.url + "/ready", timeout=5)
    assert ready.json() == {"ready": True, "models": [ALL_MINILM]}
    url = fronts.server.url + "/satsuma/stats"
    stats = requests.get(url, headers=fronts.header(), timeout=5).json()["result"]
    assert stats["models"][0]["id"] == ALL_MINILM


def test_a_queued_job_is_done(fronts: Fronts) -> None:
    """One front takes it in, the main process works on it, the other front answers the poll."""
    body = {"requests": [{"text": "hello world"}]}
    header = fronts.header()
    with fronts.only(0):
        url = fronts.url + "?queueRequest=true"
        queued = requests.post(url, json=body, headers=header, timeout=_WITHIN_S).json()
    poll = {"request_id": queued["result"]["request_id"]}
    with fronts.only(1):
        wait_until(lambda: "responses" in fronts.call(poll).json()["result"])


def waiting_tokens(fronts: Fronts) -> float:
    """What the engine has to do."""
    return fronts.count("satsuma_waiting_tokens")


def begin(fronts: Fronts) -> http.client.HTTPConnection:
    """Ask for seconds of work, and wait until the engine has it."""
    client = http.client.HTTPConnection(urlsplit(fronts.server.url).netloc, timeout=_WITHIN_S)
    body = json.dumps(LONG)
    client.request("POST", urlsplit(fronts.url).path, body, fronts.header())
    wait_until(lambda: waiting_tokens(fronts) > 0)
    return client


def test_a_client_that_hangs_up_stops_the_engine_s_work(fronts: Fronts) -> None:
    """As in one process: nobody would read the answer."""
    begin(fronts).close()
    begun_s = time.monotonic()
    wait_until(lambda: waiting_tokens(fronts) == 0)
    assert time.monotonic() - begun_s < 5


def test_a_killed_front_is_replaced(fronts: Fronts) -> None:
    """Its requests are cut and leave the engine, its counts stay, and nobody else notices."""
    victim, other = fronts.ids()
    with fronts.only(0):  # what is begun now is the first one's
        assert fronts.call({"text": "x"}).status_code == 200
        client = http.client.HTTPConnection(urlsplit(fronts.server.url).netloc)
        client.request("POST", urlsplit(fronts.url).path, json.dumps(LONG), fronts.header())
        time.sleep(0.2)
    wait_until(lambda: waiting_tokens(fronts) > 0)
    before = fronts.count(REQUESTS)
    os.kill(victim, signal.SIGKILL)
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        client.getresponse()
    client.close()
    assert fronts.call({"text": "x"}).status_code == 200
    wait_until(lambda: waiting_tokens(fronts) == 0)
    wait_until(lambda: len(fronts.ids()) == 2)
    assert victim not in fronts.ids()
    assert other in fronts.ids()
    assert fronts.count(REQUESTS) == before + 1
    assert "(SIGKILL): starting another" in fronts.server.output


def test_a_front_that_is_told_to_end_leaves_newcomers_to_the_other(fronts: Fronts) -> None:
    """It finishes what it has; the listener is everybody's, so it must not answer with refusals."""
    leaving, other = fronts.ids()
    body = json.dumps({"text": "x"}).encode()
    with fronts.only(0):
        held = begin_request(fronts.url, len(body), fronts.header())
    os.kill(leaving, signal.SIGTERM)
    time.sleep(0.3)  # it looks at its signals ten times a second
    assert [fronts.call({"text": "x"}).status_code for _ in range(20)] == [200] * 20
    held.send(body)
    assert held.getresponse().status == 200
    held.close()
    wait_until(lambda: leaving not in fronts.ids() and len(fronts.ids()) == 2)
    assert other in fronts.ids()


def test_a_front_shares_nothing_but_its_two_sockets(fronts: Fronts) -> None:
    """A terminal's Ctrl-C does not reach it, and what it may start inherits neither socket."""
    for one in fronts.ids():
        assert os.getpgid(one) == one
        words = Path(f"/proc/{one}/cmdline").read_bytes().split(b"\0")
        for number in words[-3:-1]:
            info = Path(f"/proc/{one}/fdinfo/{number.decode()}").read_text()
            assert int(info.split("flags:")[1].split()[0], 8) & os.O_CLOEXEC


def begin_request(
    url: str, num_bytes: int, headers: dict[str, str] | None = None
) -> http.client.HTTPConnection:
    """Send a request's head; returns once the server asks for its body, so has accepted it."""
    parts = urlsplit(url)
    client = http.client.HTTPConnection(parts.netloc, timeout=60)
    client.putrequest("POST", parts.path)
    client.putheader("Content-Length", str(num_bytes))
    client.putheader("Expect", "100-continue")
    for name, value in (headers or {}).items():
        client.putheader(name, value)
    client.endheaders()
    assert client.sock.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
    return client


def test_sigterm_loses_nothing(home: Path) -> None:
    """What either front has accepted is answered, under load, and counted for its account."""
    env = environment(home, SATSUMA_DATA_DIR=str(home / "stopped"))
    body = json.dumps({"text": ["word " * 250] * 12}).encode()
    with serving(*FLAGS, env=env) as running:
        url, fronts = running.run_url(ALL_MINILM), Fronts(running, wide="")
        accepted = []
        for index in (0, 1):
            with fronts.only(index):
                accepted.append(begin_request(url, len(body)))
        running.process.send_signal(signal.SIGTERM)
        for _ in range(2):
            wait_until(lambda: requests.post(url, json={"text": ""}, timeout=9).status_code == 503)
        for client in accepted:
            client.send(body)
        replies = [client.getresponse() for client in accepted]
        shapes = [json.loads(reply.read())["result"]["shape"] for reply in replies]
        assert running.process.wait(30) == 0
        wait_until(lambda: fronts.ids() == [])
    for client in accepted:
        client.close()
    assert shapes == [[12, 384], [12, 384]]
    with closing(sqlite3.connect(home / "stopped" / "usage.db")) as usage:
        assert usage.execute("select requests, texts from usage").fetchall() == [(2, 24)]


def test_fronts_end_with_the_main_process(home: Path) -> None:
    """Killed, it leaves nobody who keeps its port, and whoever waits is told to come again."""
    with serving(*FLAGS, env=environment(home)) as running:
        fronts = Fronts(running, wide="")
        assert len(fronts.ids()) == 2
        idle = http.client.HTTPConnection(urlsplit(running.url).netloc)
        idle.request("GET", "/health")
        idle.getresponse().read()  # a connection that is kept does not hold them
        waiting = begin(fronts)
        running.process.kill()
        assert waiting.getresponse().status == 503
        wait_until(lambda: fronts.ids() == [])
        waiting.close()
        idle.close()
        port = urlsplit(running.url).port
        with socket.create_server(("127.0.0.1", port or 0)):
            pass


def test_ctrl_c_ends_all(home: Path) -> None:
    """A terminal signals the whole group; it ends in order, on a Unix socket as well."""
    path = home / "satsuma.sock"
    flags = (*FLAGS, "--unix-socket", str(path))
    with serving(*flags, env=environment(home), has_own_group=True) as running:
        fronts = Fronts(running, wide="")
        os.killpg(running.process.pid, signal.SIGINT)
        assert running.process.wait(20) == 0
        assert fronts.ids() == []
    assert not path.exists()
    assert "Traceback" not in running.output
    assert "KeyboardInterrupt" not in running.output


def test_a_front_that_cannot_be_replaced_does_not_end_the_others(
    home: Path, tmp_path: Path
) -> None:
    """Whatever it dies of at its start, its place is tried again until it works."""
    env = environment(home)
    env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(tmp_path), env.get("PYTHONPATH", "")]))
    with serving(*FLAGS, env=env) as running:
        fronts = Fronts(running, wide="")
        victim, other = fronts.ids()
        (tmp_path / "sitecustomize.py").write_text(DYING)
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: "cannot be replaced yet: HTTP processes end at once" in running.output)
        assert fronts.ids() == [other]
        (tmp_path / "sitecustomize.py").unlink()
        wait_until(lambda: len(fronts.ids()) == 2)
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(20) == 0


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        (("--tls-certificate", "nothing.pem"), None, "The certificate nothing.pem cannot be used"),
        (("--tls-key", "key.pem"), None, "Error: tls_key needs tls_certificate"),
        ((), DYING, "Error: HTTP processes end at once (exit code 3)."),
    ],
    ids=["refused", "no-certificate", "dying"],
)
def test_fronts_that_cannot_start_end_the_server(
    home: Path, tmp_path: Path, flags: tuple[str, ...], code: str | None, message: str
) -> None:
    """With the reason, once, instead of trying for ever."""
    env = environment(home)
    if code is not None:
        (tmp_path / "sitecustomize.py").write_text(code)
        paths = [str(tmp_path), env.get("PYTHONPATH", "")]
        env["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    result = satsuma("serve", "--port", "0", *FLAGS, *flags, env=env)
    assert result.returncode == 1
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert "Listening" not in result.stdout
