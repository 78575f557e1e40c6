"""A lone short query in other ways than the server's: do they pay?

Each way starts from the query's tokens in the host's memory and ends with its hidden states there.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from satsuma.bench.gpu.contenders import least_cosine, packed
from satsuma.bench.random_model import ModelShape
from satsuma.engine.protocol import Microbatch, Width
from satsuma.engine.pytorch.inputs import send
from satsuma.engine.pytorch.packing import read_tensors
from satsuma.engine.pytorch.places import Places, Seat
from satsuma.engine.pytorch.program import Program
from satsuma.types import FloatArray, Precision

_QUERY = Microbatch(np.arange(5, 15), np.array([10]))
_LONGEST_REASON = 300  # characters

Run = Callable[[], FloatArray]  # (T, H)


@dataclass(frozen=True, slots=True)
class QueryRow:
    """A query of ten tokens, in one way.

    Attributes:
        model: its shape's name.
        precision: of the weights.
        way: `eager` as the server does it, `compiled` by torch.compile, `captured` in a CUDA graph.
        query_s: the median of many; None if it failed.
        prepare_s: the first run, with all that has to be done before it.
        least_cosine: of a token's hidden state to the eager one.
        reason: why it failed.
    """

    model: str
    precision: Precision
    way: str
    query_s: float | None = None
    prepare_s: float | None = None
    least_cosine: float | None = None
    reason: str = ""


def measure_queries(
    folder: Path, shape: ModelShape, device: torch.device, precision: Precision, number: int
) -> Iterator[QueryRow]:
    """Measure each way that the device has; one that fails is a row that says why."""
    ways = {"eager": _run_eager, "compiled": _compile}
    if device.type == "cuda":
        ways["captured"] = _capture
    expected: list[FloatArray] = []
    for way, prepare in ways.items():
        try:
            row = _measure(_load(folder, device, precision), device, prepare, number, expected)
            yield QueryRow(shape.name, precision, way, *row)
        except Exception as error:  # noqa: BLE001 - compilers and drivers fail in many ways
            reason = f"{type(error).__name__}: {error}"[:_LONGEST_REASON]
            yield QueryRow(shape.name, precision, way, reason=reason)


def _load(folder: Path, device: torch.device, precision: Precision) -> Program:
    with packed(folder, precision) as (architecture, path):
        return Program(architecture.blueprint(()), read_tensors(path, device))


def _measure(
    program: Program,
    device: torch.device,
    prepare: Callable[[Program, Seat], Run],
    number: int,
    expected: list[FloatArray],
) -> tuple[float, float, float]:
    """Measure one way: seconds of a query, of the first one, and the least cosine."""
    with torch.inference_mode(), Places([device]).lend(Width.ONE_CORE) as seat, seat.enter():
        started_at_s = time.perf_counter()
        run = prepare(program, seat)
        states = run()  # (T, H)
        prepare_s = time.perf_counter() - started_at_s
        spent_s = []
        for _ in range(number):
            started_at_s = time.perf_counter()
            run()
            spent_s.append(time.perf_counter() - started_at_s)
    expected.append(states.copy())
    return statistics.median(spent_s), prepare_s, least_cosine(states, expected[0])


def _run_eager(program: Program, seat: Seat) -> Run:
    return lambda: seat.fetch(program.run(send(_QUERY, seat.device)))


def _compile(program: Program, seat: Seat) -> Run:
    run = torch.compile(program.run, dynamic=False)
    return lambda: seat.fetch(run(send(_QUERY, seat.device)))


def _capture(program: Program, seat: Seat) -> Run:
    """Record the launches once, for queries of this length; their tokens are put in its place."""
    static = send(_QUERY, seat.device)
    program.run(static)  # what is set up at first use cannot be recorded
    torch.cuda.synchronize(seat.device)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=seat.stream):
        states = program.run(static)

    def run() -> FloatArray:
        static.token_ids.copy_(send(_QUERY, seat.device).token_ids)
        graph.replay()
        return seat.fetch(states)

    return run
