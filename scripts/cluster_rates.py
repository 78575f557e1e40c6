"""What a cluster costs and gains, on this machine: the constants of docs/scaling.md.

Nodes have one core each. `files` embeds the same texts alone, on one node and on two, and tells how
much of a core the driver takes; `requests` calls one server, one replica and two.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click
import httpx
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from support.program import environment, serving  # noqa: E402  the path comes first
from support.ray_cluster import RAY_PYTHON, deploy, free_port, ray_cluster  # noqa: E402

from satsuma.bench.workload import WORDS  # noqa: E402

ALL_MINILM = "@hf/sentence-transformers/all-minilm-l6-v2"
_NUM_LONE = 50


@click.group()
def main() -> None:
    """Measure a cluster on this machine."""


@main.command()
@click.option("--texts", "num_texts", default=30_000, show_default=True)
@click.option("--model", default=ALL_MINILM, show_default=True)
@click.option("--models-dir", type=click.Path(path_type=Path))
def files(num_texts: int, model: str, models_dir: Path | None) -> None:
    """Embed a file alone with one core and with two, on one node and on two."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        source = home / "in.jsonl"
        source.write_text("\n".join(json.dumps({"text": text}) for text in _texts(num_texts)))
        env = environment(home)
        flags = ["embed", str(source), "", "--model", model, "--no-progress", "--overwrite"]
        flags += ["--models-dir", str(models_dir)] if models_dir else []
        for cores in ("1", "2"):
            _tell(f"alone, {cores} cores", _embed(home, [*flags, "--threads", cores], env))
        with ray_cluster(env) as cluster:
            at = ["--ray", cluster.address]
            _tell("one node of one core", _embed(home, [*flags, *at], dict(cluster.env)))
            cluster.add_node()
            _tell("two nodes of one core", _embed(home, [*flags, *at], dict(cluster.env)))


def _embed(home: Path, flags: list[str], env: dict[str, str]) -> dict[str, Any]:
    """Run a job; its report, and what of a core its own process took."""
    flags[2] = str(home / "out.parquet")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [str(RAY_PYTHON), "-m", "satsuma", *flags]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    kept = ("rows", "tokens", "seconds", "tokens_per_s")
    return {name: told[name] for name in kept} | {"process_cpu_s": round(cpu_s, 2)}


@main.command()
@click.option("--seconds", default=15.0, show_default=True)
@click.option("--clients", "num_clients", default=16, show_default=True)
@click.option("--words", default=60, show_default=True)
def requests(seconds: float, num_clients: int, words: int) -> None:
    """Call a server of one core, and a cluster of one replica and of two."""
    with tempfile.TemporaryDirectory() as folder:
        env = environment(Path(folder))
        with serving("--model", ALL_MINILM, "--threads", "1", env=env) as server:
            call = _caller(server.run_url(ALL_MINILM), words)
            _tell("satsuma serve, one core", _measure(call, seconds, num_clients))
        with ray_cluster(env, num_head_cpus=2) as cluster:
            port = free_port()
            for replicas in ("1", "2"):
                few = ("--min-replicas", replicas, "--max-replicas", replicas, "--gateways", "1")
                deployed = deploy(cluster, "--model", ALL_MINILM, *few, port=port)
                call = _caller(deployed.run_url(ALL_MINILM), words)
                _tell(f"replicas of one core: {replicas}", _measure(call, seconds, num_clients))
                cluster.satsuma("deploy", "remove", "--address", cluster.address)


def _caller(url: str, words: int) -> Callable[[], None]:
    client = httpx.Client(limits=httpx.Limits(max_connections=None), timeout=60)
    body = json.dumps({"text": " ".join(WORDS[n % len(WORDS)] for n in range(words))})

    def call() -> None:
        client.post(url, content=body).raise_for_status()

    return call


def _measure(call: Callable[[], None], seconds: float, num_clients: int) -> dict[str, float]:
    """Give a lone client's latency, and the rate of many."""
    call()
    lone_s = [_timed(call) for _ in range(_NUM_LONE)]
    end_s = time.monotonic() + seconds

    def repeat() -> int:
        number = 0
        while time.monotonic() < end_s:
            call()
            number += 1
        return number

    with ThreadPoolExecutor(num_clients) as clients:
        numbers = [one.result() for one in [clients.submit(repeat) for _ in range(num_clients)]]
    return {
        "lone_ms": round(1000 * statistics.median(lone_s), 2),
        "requests_per_s": round(sum(numbers) / seconds, 1),
    }


def _timed(call: Callable[[], None]) -> float:
    started_s = time.perf_counter()
    call()
    return time.perf_counter() - started_s


def _texts(number: int) -> list[str]:
    random = np.random.default_rng(0)
    lengths = random.integers(5, 60, number)
    return [" ".join(WORDS[one] for one in random.integers(len(WORDS), size=n)) for n in lengths]


def _tell(name: str, figures: dict[str, Any]) -> None:
    print(json.dumps({"what": name, **figures}), flush=True)


if __name__ == "__main__":
    main()
