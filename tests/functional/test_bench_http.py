"""`satsuma bench http` against a real server."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from support.program import Server, environment, satsuma, serving

ALL_MINILM = "@hf/sentence-transformers/all-minilm-l6-v2"
QUICK = ("--duration", "0.7", "--warmup", "0.2")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty home for the server and the commands."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[Server]:
    """A server of the small model."""
    with serving("--model", ALL_MINILM, env=environment(home)) as running:
        yield running


def bench(server: Server, home: Path, *flags: str) -> tuple[str, dict[str, Any]]:
    """Run it, and give its table and its last line."""
    done = satsuma("bench", "http", "--url", server.url, *QUICK, *flags, env=environment(home))
    assert done.returncode == 0, done.stderr
    table, _, last = done.stdout.strip().rpartition("\n")
    return table, json.loads(last)


def count_answers(server: Server) -> float:
    """Count the model's answers so far."""
    lines = requests.get(f"{server.url}/metrics", timeout=10).text.splitlines()
    wanted = [
        one for one in lines if one.startswith("satsuma_requests_total") and ALL_MINILM in one
    ]
    return sum(float(one.rpartition(" ")[2]) for one in wanted)


def test_an_open_loop_beside_bulk_work(server: Server, home: Path) -> None:
    """Queries are answered in both phases, and the ratio is told."""
    table, summary = bench(server, home, "--rate", "20", "--bulk", "1")
    idle, busy, bulk = summary["phases"]
    assert idle["offered_per_s"] == busy["offered_per_s"] == 20
    assert idle["errors"] == busy["errors"] == bulk["errors"] == {}
    assert summary["bulk_p99_ratio"] == pytest.approx(
        busy["latency_ms"]["p99"] / idle["latency_ms"]["p99"]
    )
    assert "p99 beside bulk is" in table


def test_an_open_loop_beside_the_queue(server: Server, home: Path) -> None:
    """Jobs are put in and done meanwhile, in whatever dialect the queries come."""
    flags = ("--rate", "20", "--queued", "2", "--duration", "4", "--api", "openai")
    table, summary = bench(server, home, *flags)
    idle, busy, queued = summary["phases"]
    assert idle["errors"] == busy["errors"] == queued["errors"] == {}
    assert queued["tokens_per_s"] > 0
    assert "p99 beside the queue is" in table


def test_a_closed_loop_as_openai_does(server: Server, home: Path) -> None:
    """Every answer's tokens are counted."""
    _, summary = bench(server, home, "--concurrency", "4", "--api", "openai", "--tokens", "9")
    (phase,) = summary["phases"]
    assert phase["num_requests"] > 0
    assert phase["tokens_per_s"] == pytest.approx(9 * phase["requests_per_s"])


def test_a_sweep_ends_with_a_rate(server: Server, home: Path) -> None:
    """An SLO that nothing meets is a knee of none."""
    _, summary = bench(server, home, "--sweep", "--slo-ms", "0.001", "--rate", "1.4")
    assert summary["knee_per_s"] == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stop_prints_what_was_measured(
    server: Server, home: Path, number: signal.Signals, code: int
) -> None:
    """By Ctrl-C or by SIGTERM, each with its usual exit code."""
    command = [sys.executable, "-m", "satsuma", "bench", "http", "--url", server.url]
    command += ["--rate", "50", "--warmup", "0", "--duration", "60"]
    num_before = count_answers(server)
    process = subprocess.Popen(
        command, env=environment(home), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while count_answers(server) < num_before + 20:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(number)
    output, _ = process.communicate(timeout=20)
    assert process.returncode == code
    (phase,) = json.loads(output.splitlines()[-1])["phases"]
    assert phase["num_requests"] > 0
    assert phase["errors"] == {}


def test_no_server_is_told(home: Path) -> None:
    """With what to do about it."""
    done = satsuma("bench", "http", "--url", "http://127.0.0.1:9", env=environment(home))
    assert done.returncode == 1
    assert "Start it: satsuma serve" in done.stderr
