"""A real server: bulk, one short text, many clients with one each, queries beside bulk, memory."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from satsuma.ai import Ai
from satsuma.bench.contenders import model_id
from satsuma.bench.http_client import Target as Endpoint
from satsuma.bench.http_drive import Work
from satsuma.bench.http_load import Load, Server, measure_http
from satsuma.bench.http_phases import Plan, run_phases
from satsuma.bench.http_raw import RawConnection, inference_ms, write_request
from satsuma.bench.http_texts import Texts
from satsuma.bench.measure import summarise
from satsuma.bench.peers.memory import read_mapped_bytes, read_peak_bytes, reset_peak
from satsuma.bench.random_model import ModelShape
from satsuma.bench.targets.in_process import CEILINGS_A_TURN
from satsuma.bench.targets.rows import Row, Target, Unit
from satsuma.bench.workload import LONE, MIXED, Workload

HTTP_BULK = Target("bulk through HTTP, 16 clients: share of the ceiling", Unit.SHARE, at_least=0.80)
OVERHEAD = Target(
    "a 10-token request through HTTP, beyond the engine's time, p50", Unit.MILLISECONDS, at_most=1.2
)
MANY = Target(
    "64 clients with one short text each, against bulk work of such texts", Unit.RATIO, at_least=0.9
)
BESIDE_BULK = Target("a query's p99 beside bulk work, against idle", Unit.RATIO, at_most=3)
MEMORY = Target("peak memory beyond the weights", Unit.MEGABYTES, at_most=400)

_NUM_CLIENTS = 64
_NUM_OVERHEADS = 300
_SHORT = Workload("512x10", (10,) * 512)
_QUERIES_PER_S = 8.0
_NUM_BULK = 2
_NUM_LARGEST = 2  # each takes most of a minute
_LARGEST = Workload("100x512", (512,) * 100)  # the most that a Workers AI request may carry


@dataclass(frozen=True, slots=True)
class Setting:
    """What is measured: a server of a model, and how long a sample is."""

    server: Server
    shape: ModelShape
    rounds: int
    seconds: float

    @property
    def endpoint(self) -> Endpoint:
        """Where texts are sent."""
        return Endpoint(self.server.url, model_id(self.shape))


def bulk_row(setting: Setting, ceiling: Callable[[], float]) -> Row:
    """Keep 16 clients busy with mixed lengths, in turns with the ceiling."""
    window_s = 4 * setting.seconds  # it must hold many answers
    load = Load(16, MIXED, window_s, window_s, num_windows=1)
    model, ceilings, rates = model_id(setting.shape), list[float](), list[float]()
    for _ in range(setting.rounds):
        ceilings += [ceiling() for _ in range(CEILINGS_A_TURN)]
        rates.append(measure_http(setting.server.url, model, setting.shape, load).gflops)
    limit = summarise(ceilings).median
    return Row.of(HTTP_BULK, summarise([rate / limit for rate in rates]))


def overhead_row(setting: Setting) -> Row:
    """Subtract the engine's time, as the server tells it, from a lone client's waiting."""
    requests = itertools.cycle(
        [write_request(setting.endpoint, LONE.texts(variant)) for variant in range(8)]
    )
    with RawConnection(setting.server.port) as connection:
        spent_ms = [_overhead_ms(connection, next(requests)) for _ in range(_NUM_OVERHEADS)]
    return Row.of(OVERHEAD, summarise(spent_ms))


def _overhead_ms(connection: RawConnection, request: bytes) -> float:
    begin_s = time.perf_counter()
    head = connection.ask(request)
    return (time.perf_counter() - begin_s) * 1e3 - inference_ms(head)


def many_clients_row(setting: Setting, ai: Ai) -> Row:
    """Let many clients send one short text each, and one caller all such texts, in turns."""
    ratios = []
    for _ in range(setting.rounds):
        clients_per_s = _ask_together(setting)
        ratios.append(clients_per_s / _embed_together(ai, setting))
    return Row.of(MANY, summarise(ratios))


def _embed_together(ai: Ai, setting: Setting) -> float:
    """Embed short texts in bulk in this process: texts a second."""
    texts, num_texts, begin_s = _SHORT.texts(), 0, time.perf_counter()
    while (spent_s := time.perf_counter() - begin_s) < 2 * setting.seconds or not num_texts:
        ai.run(model_id(setting.shape), {"text": texts})
        num_texts += len(texts)
    return num_texts / spent_s


def _ask_together(setting: Setting) -> float:
    """Keep the clients asking: texts a second that are answered within a window."""
    requests = itertools.cycle([write_request(setting.endpoint, [t]) for t in _SHORT.texts()])
    begin_s = time.perf_counter() + setting.seconds  # until then they warm up
    end_s = begin_s + 4 * setting.seconds  # it must hold many answers of each client
    counts = [0] * _NUM_CLIENTS

    def ask(number: int) -> None:
        with RawConnection(setting.server.port) as connection:
            while time.perf_counter() < end_s:
                connection.ask(next(requests))
                counts[number] += begin_s <= time.perf_counter() < end_s

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(_NUM_CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (end_s - begin_s)


def beside_bulk_row(setting: Setting) -> Row:
    """Send queries to an idle server, then beside clients that keep every core busy."""
    work = Work(setting.endpoint, Texts("query").bodies(setting.endpoint), num_connections=16)
    plan = Plan(work, _QUERIES_PER_S, duration_s=10 * setting.seconds, num_bulk=_NUM_BULK)
    ratios = []
    for _ in range(setting.rounds):
        idle, busy, _ = run_phases(plan)
        ratios.append(busy.latency_ms["p99"] / idle.latency_ms["p99"])
    return Row.of(BESIDE_BULK, summarise(ratios))


def memory_row(
    setting: Setting, models_dir: Path, lengths: Sequence[int] = _LARGEST.lengths
) -> Row | None:
    """Send the largest request, and look at the most that was resident; None if unknown.

    Of the weights only what is resident is subtracted: rows of the word embeddings that no text
    had are mapped and never read.
    """
    request = write_request(setting.endpoint, Workload("largest", tuple(lengths)).texts())
    seen = [_peak_and_weights(setting.server, request, models_dir) for _ in range(_NUM_LARGEST)]
    known = [
        (peak - weights) / 1e6 for peak, weights in seen if peak is not None and weights is not None
    ]
    return Row.of(MEMORY, summarise(known)) if known else None


def _peak_and_weights(
    server: Server, request: bytes, models_dir: Path
) -> tuple[int | None, int | None]:
    """Answer a request: the most bytes that were resident, and how many of the weights are."""
    reset_peak(server.process_id)
    with RawConnection(server.port) as connection:
        connection.ask(request)
    weights_bytes = read_mapped_bytes(server.process_id, models_dir.resolve())
    return read_peak_bytes(server.process_id), weights_bytes
