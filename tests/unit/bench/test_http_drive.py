"""A load generator's clock: latency from the intended moment, warm-up, stops and lost requests."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from satsuma.bench.http_client import Answer, Connection, Target, read_message
from satsuma.bench.http_drive import Drive, Span, Work
from satsuma.bench.http_phases import Plan, run_phase, run_sweep
from satsuma.bench.http_schedule import Sweep

STALL_S = 0.3
ANSWER = b'{"result":{"data":[[1,0]],"usage":{"prompt_tokens":7,"total_tokens":7}}}'
REFUSAL = b'{"success":false,"errors":[{"code":3040,"message":"come again"}]}'


class Stalling(BaseHTTPRequestHandler):
    """Answers as Workers AI does; the text `stall` takes a while, `refuse` is refused."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Answer."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        texts = body["text"] if "text" in body else body["input"]
        time.sleep(STALL_S * (texts == ["stall"]))
        answer = REFUSAL if texts == ["refuse"] else ANSWER
        self.send_response(429 if answer is REFUSAL else 200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        with contextlib.suppress(OSError):  # one test hangs up
            self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Stay silent."""


@pytest.fixture
def target() -> Iterator[Target]:
    """Serve on loopback."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Stalling) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield Target(f"http://127.0.0.1:{server.server_port}", "@cf/baai/bge-base-en-v1.5")
        server.shutdown()
        thread.join()


def drive(target: Target, texts: list[str], span: Span, num_connections: int = 1) -> Drive:
    """Run a phase to its end."""
    driven = Drive(Work(target, [target.body([text]) for text in texts], num_connections), span)
    driven.start()
    driven.wait()
    return driven


def test_who_waits_behind_a_stall_is_late(target: Target) -> None:
    """Latency counts from the intended moment, though the request was sent when it could be."""
    moments = [0.0, 0.01, 0.02]
    figures = drive(target, ["stall", "a", "b"], Span(0.1, 0, moments)).figures("one", 100)
    assert figures.num_requests == 3
    assert figures.latency_ms["p50"] > 0.8 * STALL_S * 1e3
    assert figures.lag_ms < 100  # the server's fault, not the generator's


def test_more_connections_do_not_wait(target: Target) -> None:
    """Beside a stalled request others are answered."""
    moments = [0.0, 0.05, 0.1]
    figures = drive(target, ["stall", "a", "b"], Span(0.2, 0, moments), 2).figures("one", 30)
    assert figures.latency_ms["p50"] < 0.8 * STALL_S * 1e3


def test_the_warm_up_does_not_count(target: Target) -> None:
    """What was meant to be sent in it is sent, and left out."""
    figures = drive(target, ["a"], Span(0.2, 0.1, [0.0, 0.05, 0.12])).figures("one", 10)
    assert figures.num_requests == 1
    assert figures.tokens_per_s == pytest.approx(7 * figures.requests_per_s)


def test_a_closed_loop_asks_until_its_time_is_over(target: Target) -> None:
    """Each client asks anew when it is answered."""
    figures = drive(target, ["a"], Span(0.3), num_connections=2).figures("two clients")
    assert figures.num_requests > 4
    assert figures.offered_per_s is None
    assert not figures.errors


def test_refusals_and_breaks_are_counted_by_kind(target: Target) -> None:
    """A status, or the name of what went wrong on the way."""
    figures = drive(target, ["refuse"], Span(0.1, 0, [0.0])).figures("one", 10)
    assert figures.errors == {"429": 1}
    assert figures.messages == {"429": "come again"}
    assert not figures.is_broken
    nobody = Target("http://127.0.0.1:9", "m")
    figures = drive(nobody, ["a"], Span(0.1, 0, [0.0])).figures("one", 10)
    assert figures.errors == {"ConnectionRefusedError": 1}
    assert figures.is_broken


def test_a_stopped_phase_keeps_what_it_has(target: Target) -> None:
    """What was answered before counts, and what was cut is no error."""
    bodies = [target.body([text]) for text in ("a", "stall")]
    driven = Drive(Work(target, bodies, 1), Span(60, 0, [0.0, 0.01, 50.0]))
    driven.start()
    time.sleep(0.15)
    driven.stop()
    figures = driven.figures("one", 1)
    assert figures.num_requests == 1
    assert not figures.errors


def test_a_phase_is_as_long_as_it_was_asked_for(target: Target) -> None:
    """One early answer in a quiet phase is no high rate."""
    figures = drive(target, ["a"], Span(0.3, 0.1, [0.11])).figures("one", 3)
    assert figures.requests_per_s <= 1 / 0.2


def test_a_phase_goes_on_until_enough_were_asked(target: Target) -> None:
    """And its rate is that of the time it took."""
    work = Work(target, [target.body(["a"])], 2)
    plan = Plan(work, rate_per_s=100, duration_s=0.01, warmup_s=0.1, fewest=30)
    figures = run_phase(plan, "a phase")
    assert figures.num_requests == 30
    assert 30 < figures.requests_per_s < 300


@pytest.mark.parametrize(("text", "served_per_s"), [("a", 200), ("refuse", 0)])
def test_no_step_of_a_sweep_is_a_verdict_on_nothing(
    target: Target, text: str, served_per_s: float
) -> None:
    """However short a step is, requests are asked, and what became of them counts."""
    work, sweep = Work(target, [target.body([text])], 2), Sweep(200)
    plan = Plan(work, None, duration_s=1e-4, warmup_s=0.0, slo_ms=10_000)
    assert next(run_sweep(plan, sweep)).num_requests >= 10
    assert sweep.served_per_s == served_per_s


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"error":{"message":"too much"}}', "too much"),
        (b"<html>", "<html>"),
        (b"[]", "[]"),
        (b'{"errors":[]}', '{"errors":[]}'),
    ],
)
def test_a_refusal_s_words(content: bytes, message: str) -> None:
    """OpenAI's form is read too, and what is neither is shown as it is."""
    assert read_message(content) == message


def test_openai_has_its_own_path_and_body(target: Target) -> None:
    """And the tokens are counted alike."""
    openai = Target(target.url, target.model, "openai", token="t")
    assert openai.path == "/v1/embeddings"
    assert openai.headers["Authorization"] == "Bearer t"
    connection = Connection(openai)
    assert connection.ask(openai.body(["a"])) == Answer("200", 7)
    connection.close()
