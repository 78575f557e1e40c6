"""The machine's own limit, measured in the same run as everything that is compared with it.

A loop of fused multiply-adds over the CPU's widest vectors, with no memory in it, is compiled
with the C compiler at hand; no fp32 engine can pass it. Without a compiler, the best rate of
numpy's matrix product stands in, and the result says so.
"""

from __future__ import annotations

import ctypes
import platform
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

SAMPLE_S = 0.25

_FMA_LOOP = "fused multiply-add loop in C"
_NUMPY = "numpy matrix product (no C compiler here, so this is a lower bound)"
_FLOPS_PER_FMA = 2
_FIRST_ITERATIONS = 1_000_000

# Enough independent chains to hide the latency of a multiply-add, few enough for the registers.
_SOURCE = """
#if defined(__AVX512F__)
#define LANES 16
#define CHAINS 24
#elif defined(__AVX__)
#define LANES 8
#define CHAINS 12
#else
#define LANES 4
#define CHAINS 24
#endif
typedef float lanes_t __attribute__((vector_size(LANES * sizeof(float))));

int flops_per_iteration(void) { return 2 * LANES * CHAINS; }

float multiply_add(long iterations, float start) {
  lanes_t chains[CHAINS], factor, term, sum;
  for (int lane = 0; lane < LANES; lane++) {
    factor[lane] = 0.5f + start;
    term[lane] = 0.25f + start;
    sum[lane] = 0.0f;
  }
  for (int chain = 0; chain < CHAINS; chain++) chains[chain] = term * (float)chain;
  for (long i = 0; i < iterations; i++) {
#pragma GCC unroll 24
    for (int chain = 0; chain < CHAINS; chain++) chains[chain] = chains[chain] * factor + term;
  }
  for (int chain = 0; chain < CHAINS; chain++) sum += chains[chain];
  float total = 0.0f;
  for (int lane = 0; lane < LANES; lane++) total += sum[lane];
  return total;
}
"""
_TARGET_FLAGS = (("-march=native",), ("-mcpu=native",), ())


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The most fp32 arithmetic that this machine was seen to do.

    Attributes:
        one_thread_gflops: 10^9 additions and multiplications a second on one thread.
        all_threads_gflops: the same over `num_threads` threads at once.
        num_threads: how many threads that was.
        method: what was measured.
    """

    one_thread_gflops: float
    all_threads_gflops: float
    num_threads: int
    method: str


def measure_ceiling(num_threads: int, rounds: int = 5) -> Ceiling:
    """Measure for about `rounds` seconds; the best round counts, as a ceiling is what was reached.

    Args:
        num_threads: threads of the second figure.
        rounds: how often each figure is measured.
    """
    with tempfile.TemporaryDirectory() as temporary:
        library = compile_loop(Path(temporary))
        if library is None:
            return _measure_numpy(num_threads, rounds)
        return _measure_loop(_Loop(library), num_threads, rounds)


@contextmanager
def ceiling_sampler(num_threads: int) -> Iterator[Callable[[], float]]:
    """Give what measures the ceiling once: on all threads, for about a quarter of a second.

    For turns with what is compared with it, so that a neighbour's noise hits both alike.

    Yields:
        What gives 10^9 additions and multiplications a second.
    """
    with tempfile.TemporaryDirectory() as temporary:
        library = compile_loop(Path(temporary))
        if library is None:
            yield lambda: _measure_numpy(num_threads, 1).all_threads_gflops
        else:
            yield partial(_Loop(library).sample, num_threads)


def higher(one: Ceiling, other: Ceiling) -> Ceiling:
    """Join two measurements of one machine: a neighbour's noise only ever lowers a figure."""
    return replace(
        one,
        one_thread_gflops=max(one.one_thread_gflops, other.one_thread_gflops),
        all_threads_gflops=max(one.all_threads_gflops, other.all_threads_gflops),
    )


def compile_loop(folder: Path) -> Path | None:
    """Compile the loop to a shared library; None if there is no compiler that can."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return None
    source, library = folder / "ceiling.c", folder / "ceiling.so"
    source.write_text(_SOURCE, encoding="ascii")
    common = [
        compiler,
        "-O3",
        "-ffp-contract=fast",
        "-shared",
        "-fPIC",
        "-o",
        str(library),
        str(source),
    ]
    for flags in _TARGET_FLAGS:
        if subprocess.run([*common, *flags], capture_output=True, check=False).returncode == 0:
            return library
    return None


class _Loop:
    """The compiled loop, and how long it takes for a sample."""

    def __init__(self, library: Path) -> None:
        """Load it, and see how fast it is."""
        self._library = ctypes.CDLL(str(library))
        self._library.multiply_add.restype = ctypes.c_float
        self._library.multiply_add.argtypes = [ctypes.c_long, ctypes.c_float]
        self._iterations = _calibrate(self._run)
        self._gflop = self._iterations * int(self._library.flops_per_iteration()) / 1e9

    def sample(self, num_threads: int) -> float:
        """Run it on so many threads: 10^9 additions and multiplications a second."""
        return num_threads * self._gflop / _time_threads(self._run, self._iterations, num_threads)

    def _run(self, iterations: int) -> None:
        self._library.multiply_add(iterations, 0.0)  # ctypes lets go of the GIL


def _measure_loop(loop: _Loop, num_threads: int, rounds: int) -> Ceiling:
    one = max(loop.sample(1) for _ in range(rounds))
    every = max(loop.sample(num_threads) for _ in range(rounds))
    return Ceiling(one, every, num_threads, f"{_FMA_LOOP}, {platform.machine()}")


def _calibrate(run: Callable[[int], None]) -> int:
    """Find how many iterations fill a sample."""
    run(_FIRST_ITERATIONS)  # wakes the vector units
    elapsed_s = _time_threads(run, _FIRST_ITERATIONS, 1)
    return max(1, int(_FIRST_ITERATIONS * SAMPLE_S / elapsed_s))


def _time_threads(run: Callable[[int], None], iterations: int, num_threads: int) -> float:
    """Time the run in several threads at once, from the first start to the last end."""
    threads = [threading.Thread(target=run, args=(iterations,)) for _ in range(num_threads)]
    start_s = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - start_s


def _measure_numpy(num_threads: int, rounds: int, size: int = 1024) -> Ceiling:
    """Take the best rate of a square matrix product; BLAS chooses its own threads."""
    left = np.full((size, size), 0.5, dtype=np.float32)
    rates: list[float] = []
    for _ in range(4 * rounds):
        start_s = time.perf_counter()
        left @ left
        gflop = _FLOPS_PER_FMA * size**3 / 1e9
        rates.append(gflop / (time.perf_counter() - start_s))
    best = max(rates)
    return Ceiling(best / num_threads, best, num_threads, _NUMPY)
