"""A real `satsuma serve` in its own process, and clients that keep it busy over HTTP.

Clients ask again as soon as they are answered. The first seconds are left out, and what is
answered within each following window of time is counted, so that neither a cold start nor the
last requests' tail enters the figures.
"""

from __future__ import annotations

import asyncio
import contextlib
import http
import http.client
import itertools
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import orjson

from satsuma.bench.measure import Measurement, summarise
from satsuma.bench.random_model import ModelShape
from satsuma.bench.workload import Workload, text_flops

READY_TIMEOUT_S = 180.0
STOP_TIMEOUT_S = 30.0
REQUEST_TIMEOUT_S = 120.0

_ACCOUNT = "0" * 32
_POLL_S = 0.01
_LOG_TAIL_CHARACTERS = 2000


class ServerDidNotStartError(Exception):
    """`satsuma serve` ended or stayed silent; the message has the end of its log."""


class NoAnswerError(Exception):
    """No answer came within the windows."""


@dataclass(frozen=True, slots=True)
class Load:
    """What the clients do.

    Attributes:
        num_clients: requests in flight at once.
        workload: each request carries one text of it; the clients take them in turn.
        ramp_s: seconds before counting begins.
        window_s: seconds of one sample.
        num_windows: samples.
    """

    num_clients: int
    workload: Workload
    ramp_s: float
    window_s: float
    num_windows: int


@dataclass(frozen=True, slots=True)
class Answer:
    """One answered request: when, how long it took, and what it carried."""

    end_s: float
    took_s: float
    length: int


@dataclass(frozen=True, slots=True)
class Server:
    """A server that is ready.

    Attributes:
        port: on loopback.
        process_id: its process's.
        ready_s: from its process's start to its first word that it is ready.
    """

    port: int
    process_id: int
    ready_s: float

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"


@contextlib.contextmanager
def running_server(
    model: str, models_dir: Path, threads: int, more_flags: Sequence[str] = ()
) -> Iterator[Server]:
    """Run `satsuma serve` on a free port until the block ends.

    Raises:
        ServerDidNotStartError: if it is not ready in time.
    """
    with tempfile.TemporaryDirectory() as temporary:
        port, log = _free_port(), Path(temporary) / "serve.log"
        flags = {
            "--host": "127.0.0.1",
            "--port": str(port),
            "--model": model,
            "--models-dir": str(models_dir),
            "--data-dir": str(temporary),
            "--threads": str(threads),
        }
        command = [sys.executable, "-m", "satsuma", "serve", "--device", "cpu", "--skip-self-test"]
        command += [*itertools.chain.from_iterable(flags.items()), *more_flags]
        started_at_s = time.monotonic()
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        try:
            _wait_until_ready(port, process, log)
            yield Server(port, process.pid, time.monotonic() - started_at_s)
        finally:
            _stop(process)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_ready(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    give_up_s = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < give_up_s and process.poll() is None:
        if _is_ready(port):
            return
        time.sleep(_POLL_S)
    tail = log.read_text(encoding="utf-8", errors="replace")[-_LOG_TAIL_CHARACTERS:]
    raise ServerDidNotStartError(f"satsuma serve is not ready. The end of its log:\n{tail}")


def _is_ready(port: int) -> bool:
    """Ask, with a client that costs the starting server little of its cores."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=REQUEST_TIMEOUT_S)
    try:
        connection.request("GET", "/ready")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _stop(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def measure_http(url: str, model: str, shape: ModelShape, load: Load) -> Measurement:
    """Put a load on a server and sum up what it answered."""
    answers = asyncio.run(put_load(f"{url}/client/v4/accounts/{_ACCOUNT}/ai/run/{model}", load))
    return to_measurement(answers, shape, load)


async def put_load(endpoint: str, load: Load) -> list[Answer]:
    """Keep the clients asking until the last window ends.

    Returns:
        Every answer, its end counted from the load's start.

    Raises:
        httpx.HTTPError: if a request fails or is refused.
    """
    texts = itertools.cycle(zip(load.workload.texts(), load.workload.lengths, strict=True))
    duration_s = load.ramp_s + load.window_s * load.num_windows
    answers: list[Answer] = []
    limits = httpx.Limits(max_connections=load.num_clients)
    async with httpx.AsyncClient(
        timeout=REQUEST_TIMEOUT_S, limits=limits, trust_env=False
    ) as client:
        start_s = time.perf_counter()

        async def ask() -> None:
            while (begin_s := time.perf_counter() - start_s) < duration_s:
                text, length = next(texts)
                response = await client.post(endpoint, content=orjson.dumps({"text": [text]}))
                response.raise_for_status()
                end_s = time.perf_counter() - start_s
                answers.append(Answer(end_s, end_s - begin_s, length))

        await asyncio.gather(*(ask() for _ in range(load.num_clients)))
    return answers


def to_measurement(answers: Sequence[Answer], shape: ModelShape, load: Load) -> Measurement:
    """Sum up the answers that came within the windows.

    Raises:
        NoAnswerError: if there is none.
    """
    windows: list[list[Answer]] = [[] for _ in range(load.num_windows)]
    for answer in answers:
        number = int((answer.end_s - load.ramp_s) // load.window_s)
        if 0 <= number < load.num_windows:
            windows[number].append(answer)
    counted = [answer for window in windows for answer in window]
    if not counted:
        raise NoAnswerError(f"No answer came in {load.window_s} s; give more --seconds.")
    flops = sum(text_flops(shape, answer.length) for answer in counted)
    return Measurement(
        path=f"http, {load.num_clients} client{'s' if load.num_clients > 1 else ''}",
        workload=load.workload.name,
        tokens_per_s=summarise([_tokens(window) / load.window_s for window in windows]),
        run_ms=summarise([answer.took_s * 1e3 for answer in counted]),
        gflops=flops / (load.window_s * load.num_windows) / 1e9,
        num_runs=len(counted),
    )


def _tokens(answers: Sequence[Answer]) -> int:
    return sum(answer.length for answer in answers)
