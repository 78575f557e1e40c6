"""What a device can do at most: products of large matrices, and copies of much memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

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


def measure_ceilings(device: torch.device, width: int, copied_bytes: int) -> Ceilings:
    """Measure.

    Args:
        device: otherwise idle.
        width: of the matrices.
        copied_bytes: of a copy.
    """
    dtypes = (torch.float32, torch.float16, torch.bfloat16)
    rates = {str(dtype).removeprefix("torch."): _product(device, dtype, width) for dtype in dtypes}
    source = torch.ones(copied_bytes, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    copy_s = fastest_s(device, lambda: target.copy_(source))
    return Ceilings(rates, 2 * copied_bytes / copy_s)


def _product(device: torch.device, dtype: torch.dtype, width: int) -> float:
    left, right = (torch.randn(width, width, device=device).to(dtype) for _ in range(2))
    return float(2 * width**3 / fastest_s(device, lambda: left @ right))


def fastest_s(device: torch.device, work: Callable[[], object]) -> float:
    """Time work on a device: seconds of the fastest of several runs."""
    work()
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
