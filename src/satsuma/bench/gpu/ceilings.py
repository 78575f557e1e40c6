"""What a device can do at most: products of large matrices, and copies of much memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch

_RUNS = 10


@dataclass(frozen=True, slots=True)
class Ceilings:
    """A device's limits, as measured.

    Attributes:
        flops_per_s: of a product of square matrices, by the name of their dtype.
        bytes_per_s: read and written by a copy.
    """

    flops_per_s: dict[str, float]
    bytes_per_s: float


def measure_ceilings(
    device: torch.device, width: int, copied_bytes: int, warm_up_s: float
) -> Ceilings:
    """Measure.

    Args:
        device: otherwise idle.
        width: of the matrices.
        copied_bytes: of a copy.
        warm_up_s: work before each is timed; an idle card's clock takes about a second to rise.
    """
    rates = {}
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        left, right = (torch.randn(width, width, device=device).to(dtype) for _ in range(2))
        product_s = fastest_s(device, partial(torch.matmul, left, right), warm_up_s)
        rates[str(dtype).removeprefix("torch.")] = 2 * width**3 / product_s
    source = torch.ones(copied_bytes, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    copy_s = fastest_s(device, lambda: target.copy_(source), warm_up_s)
    return Ceilings(rates, 2 * copied_bytes / copy_s)


def fastest_s(device: torch.device, work: Callable[[], object], warm_up_s: float) -> float:
    """Time work on a device: seconds of the fastest of several runs, after others for a while."""
    time_runs(device, work, 1)
    until_s = time.perf_counter() + warm_up_s
    while time.perf_counter() < until_s:
        time_runs(device, work, 1)
    return min(time_runs(device, work, _RUNS))


def time_runs(device: torch.device, work: Callable[[], object], num_runs: int) -> list[float]:
    """Time each of several runs from an idle device to an idle device: seconds."""
    spent_s = []
    for _ in range(num_runs):
        wait_for(device)
        started_at_s = time.perf_counter()
        work()
        wait_for(device)
        spent_s.append(time.perf_counter() - started_at_s)
    return spent_s


def wait_for(device: torch.device) -> None:
    """Wait until a device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
