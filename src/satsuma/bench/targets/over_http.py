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
from satsuma.bench.http_figures import Figures
from satsuma.bench.http_load import Load, NoAnswerError, Server, measure_http
from satsuma.bench.http_phases import Plan, run_phases
from satsuma.bench.http_raw import RawConnection, inference_ms, write_request
from satsuma.bench.http_texts import Texts
from satsuma.bench.measure import summarise
from satsuma.bench.peers.memory import read_mapped_bytes, read_peak_bytes, reset_peak
from satsuma.bench.random_model import ModelShape
from satsuma.bench.targets.in_process import CEILINGS_A_TURN
from satsuma.bench.targets.rows import Parts, Row, Target, Unit
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
_FEWEST_OF_P99 = 200  # queries of a phase: of a hundred, the 99th percentile is the slowest
_P99_ROUNDS = 3  # at the most, since each takes a minute
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
    model, ceilings, gflops = model_id(setting.shape), list[float](), list[float]()
    for _ in range(setting.rounds):
        ceilings += [ceiling() for _ in range(CEILINGS_A_TURN)]
        gflops.append(measure_http(setting.server.url, model, setting.shape, load).gflops)
    rate, limit = summarise(gflops), summarise(ceilings).median
    parts = Parts("GFLOP/s", {"rate": rate.median, "ceiling in turns": limit})
    return Row.of(HTTP_BULK, rate.divided(limit), parts)


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
    clients, bulk = list[float](), list[float]()
    for _ in range(setting.rounds):
        clients.append(_ask_together(setting))
        bulk.append(_embed_together(ai, setting))
    return _row_of_ratios(MANY, "texts/s", clients=clients, bulk=bulk)


def _row_of_ratios(target: Target, unit: str, **sides: Sequence[float]) -> Row:
    """Divide each round's one side by its other."""
    ratios = [one / other for one, other in zip(*sides.values(), strict=True)]
    medians = {name: summarise(samples).median for name, samples in sides.items()}
    return Row.of(target, summarise(ratios), Parts(unit, medians))


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


def beside_bulk_row(setting: Setting, fewest: int = _FEWEST_OF_P99) -> Row:
    """Send queries to an idle server, then beside clients that keep every core busy.

    Raises:
        NoAnswerError: if a query was not answered; percentiles would leave it out.
    """
    work = Work(setting.endpoint, Texts("query").bodies(setting.endpoint), num_connections=16)
    plan = Plan(work, _QUERIES_PER_S, duration_s=0.0, num_bulk=_NUM_BULK, fewest=fewest)
    idles_ms, busies_ms = list[float](), list[float]()
    for _ in range(min(setting.rounds, _P99_ROUNDS)):
        idle, busy, _ = run_phases(plan)
        idles_ms.append(_p99_ms(idle))
        busies_ms.append(_p99_ms(busy))
    return _row_of_ratios(BESIDE_BULK, "ms", beside=busies_ms, idle=idles_ms)


def _p99_ms(phase: Figures) -> float:
    if phase.errors:
        raise NoAnswerError(f"Queries were not answered, {phase.name}: {phase.errors}")
    return phase.latency_ms["p99"]


def memory_row(
    setting: Setting, models_dir: Path, lengths: Sequence[int] = _LARGEST.lengths
) -> Row | None:
    """Send the largest request, and look at the most that was resident; None if unknown.

    Of the weights only what is resident is subtracted: rows of the word embeddings that no text
    had are mapped and never read.
    """
    request = write_request(setting.endpoint, Workload("largest", tuple(lengths)).texts())
    seen = [_peak_and_weights(setting.server, request, models_dir) for _ in range(_NUM_LARGEST)]
    known = [one for one in seen if one is not None]
    if not known:
        return None
    peaks, weights = zip(*known, strict=True)
    medians = {"peak": summarise(peaks).median, "weights": summarise(weights).median}
    beyond = summarise([peak - weight for peak, weight in known])
    return Row.of(MEMORY, beyond, Parts("MB", medians))


def _peak_and_weights(
    server: Server, request: bytes, models_dir: Path
) -> tuple[float, float] | None:
    """Answer a request: the most MB that were resident, and how many of the weights are."""
    reset_peak(server.process_id)
    with RawConnection(server.port) as connection:
        connection.ask(request)
    weights_bytes = read_mapped_bytes(server.process_id, models_dir.resolve())
    peak_bytes = read_peak_bytes(server.process_id)
    if weights_bytes is None or peak_bytes is None:
        return None
    return peak_bytes / 1e6, weights_bytes / 1e6
