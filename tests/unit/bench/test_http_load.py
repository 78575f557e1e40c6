import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from satsuma.bench.http_load import (
    Answer,
    Load,
    NoAnswerError,
    ServerDidNotStartError,
    put_load,
    running_server,
    to_measurement,
)
from satsuma.bench.random_model import SHAPES
from satsuma.bench.workload import WORKLOADS, text_flops

SHAPE = SHAPES["bge-base"]


class Echo(BaseHTTPRequestHandler):
    """Answers every request; refuses one for `/refuse`."""

    def do_POST(self) -> None:
        """Check that one text is asked, as Workers AI's clients do."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        is_good = len(body["text"]) == 1 and self.path != "/refuse"
        self.send_response(200 if is_good else 429)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Stay silent."""


@pytest.fixture
def url() -> Iterator[str]:
    """Serve on loopback."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def load(num_clients: int = 2, ramp_s: float = 1, window_s: float = 2) -> Load:
    """Describe a load of two windows."""
    return Load(num_clients, WORKLOADS["1x10"], ramp_s, window_s, num_windows=2)


def test_only_answers_within_the_windows_count() -> None:
    """The ramp before the first window and the tail after the last are left out."""
    ends = [0.5, 1.5, 2.0, 3.5, 5.5]  # ramp, first, first, second, tail
    answers = [Answer(end_s, took_s=0.25, length=10) for end_s in ends]
    measured = to_measurement(answers, SHAPE, load())
    assert measured.num_runs == 3
    assert measured.tokens_per_s.median == pytest.approx((20 / 2 + 10 / 2) / 2)
    assert measured.run_ms.median == pytest.approx(250)
    assert measured.gflops == pytest.approx(3 * text_flops(SHAPE, 10) / 4 / 1e9)


def test_windows_without_an_answer_are_no_measurement() -> None:
    """A model too slow for the windows is told to take longer ones."""
    with pytest.raises(NoAnswerError, match="--seconds"):
        to_measurement([Answer(9.0, 9.0, 10)], SHAPE, load())


def test_path_names_the_number_of_clients() -> None:
    """The table tells one client from several."""
    answers = [Answer(1.5, 0.1, 10)]
    assert to_measurement(answers, SHAPE, load(1)).path == "http, 1 client"
    assert to_measurement(answers, SHAPE, load(16)).path == "http, 16 clients"


def test_clients_keep_asking_until_the_end(url: str) -> None:
    """Each client asks anew when it is answered, and every answer is recorded."""
    answers = asyncio.run(put_load(url, load(ramp_s=0.05, window_s=0.05)))
    assert len(answers) > 2
    assert {answer.length for answer in answers} == {10}
    assert max(answer.end_s for answer in answers) >= 0.15


def test_a_refusal_ends_the_benchmark(url: str) -> None:
    """A figure with refused requests in it would be no figure."""
    with pytest.raises(httpx.HTTPStatusError):
        asyncio.run(put_load(f"{url}/refuse", load(ramp_s=0.05, window_s=0.05)))


def test_a_server_that_cannot_start_shows_its_log(tmp_path: Path) -> None:
    """What `satsuma serve` printed before it ended is in the message."""
    with (
        pytest.raises(ServerDidNotStartError, match="@local/no-such-model"),
        running_server("@local/no-such-model", tmp_path, threads=1),
    ):
        pytest.fail("there is no such model")
