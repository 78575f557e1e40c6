"""What was measured, for people and, as one JSON line at the end, for programs."""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from satsuma import __version__
from satsuma.bench.ceiling import Ceiling
from satsuma.bench.measure import Measurement, Spread
from satsuma.columns import align

VERSIONED = ("onnxruntime", "tokenizers", "numpy")

_HEADER = ("path", "workload", "tokens/s", "quartiles", "of ceiling", "ms a run", "quartiles")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where and with what the figures were taken; two runs compare only if these agree.

    Attributes:
        cpu: the processor's own name.
        cores: that the engine may use.
        load: runnable threads over the last minute, before the run; idle is near 0.
    """

    date: str
    cpu: str
    cores: int
    system: str
    load: float
    versions: dict[str, str]


@dataclass(frozen=True, slots=True)
class Report:
    """One whole run of the benchmark.

    Attributes:
        model: name of the shape, with random weights.
        flops_per_token: of a text of 128 tokens.
    """

    surroundings: Surroundings
    model: str
    flops_per_token: float
    ceiling: Ceiling
    measurements: Sequence[Measurement]

    def to_json(self) -> str:
        """Write the report as one line of JSON."""
        return json.dumps(_rounded(asdict(self)))


def describe_surroundings(cores: int) -> Surroundings:
    """Ask the machine and the installed packages."""
    versions = {"python": platform.python_version(), "satsuma": _version()}
    return Surroundings(
        date=dt.datetime.now(tz=dt.UTC).isoformat(timespec="minutes"),
        cpu=_cpu_name(),
        cores=cores,
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        load=os.getloadavg()[0],
        versions=versions | {name: metadata.version(name) for name in VERSIONED},
    )


def _version() -> str:
    commit = name_commit(Path(__file__).parents[3])
    return f"{__version__} ({commit})" if commit else __version__


def name_commit(checkout: Path) -> str:
    """Name the commit of a checkout, marked where its files differ; empty elsewhere."""
    git = shutil.which("git")
    if git is None or not (checkout / ".git").exists():
        return ""
    command = (git, "-C", str(checkout), "describe", "--always", "--dirty", "--exclude", "*")
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.stdout.strip()


def _cpu_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def format_heading(where: Surroundings, model: str, flops_per_token: float, top: Ceiling) -> str:
    """Lay out what stands above the table: machine, versions, ceiling."""
    versions = ", ".join(f"{name} {version}" for name, version in where.versions.items())
    limit = top.all_threads_gflops * 1e9 / flops_per_token
    rates = f"{top.one_thread_gflops:.1f} GFLOP/s on one thread, {top.all_threads_gflops:.1f} on"
    need = f"{flops_per_token / 1e6:.1f} MFLOP a token in a text of 128"
    lines = {
        "machine": f"{where.cpu}, {where.cores} cores used, {where.system}, {where.date}",
        "load": f"{where.load:.2f} before the run (a busy machine gives lower figures)",
        "versions": versions,
        "ceiling": f"{rates} {top.num_threads}: {top.method}",
        "model": f"{model}, random weights, fp32: {need}, so at most {limit:,.0f} tokens/s",
    }
    return "\n".join(f"{name:<9} {text}" for name, text in lines.items())


def format_table(measurements: Sequence[Measurement], ceiling: Ceiling) -> str:
    """Lay out one line a measurement; shares are of the ceiling over all threads."""
    rows = [_HEADER, *(_row(measurement, ceiling) for measurement in measurements)]
    return align(rows, num_left=2)


def _row(one: Measurement, ceiling: Ceiling) -> tuple[str, ...]:
    return (
        one.path,
        one.workload,
        f"{one.tokens_per_s.median:,.0f}",
        _quartiles(one.tokens_per_s, ",.0f"),
        f"{one.gflops / ceiling.all_threads_gflops:.0%}",
        f"{one.run_ms.median:,.1f}",
        _quartiles(one.run_ms, ",.1f"),
    )


def _quartiles(spread: Spread, number_format: str) -> str:
    return f"{spread.lower_quartile:{number_format}} to {spread.upper_quartile:{number_format}}"


def _rounded(content: Any) -> Any:
    """Keep four decimals: more would be noise."""
    if isinstance(content, dict):
        return {key: _rounded(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_rounded(value) for value in content]
    return round(content, 4) if isinstance(content, float) else content
