"""A Ray cluster of several nodes on this machine, and nodes that are killed."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from support.program import Server

ROOT = Path(__file__).parent.parent.parent
RAY_PYTHON = ROOT / ".venv" / "ray" / "bin" / "python"
INSTALL = ".venv/bin/python scripts/ray_environment.py"
STARTS_WITHIN_S = 120.0
_OBJECT_STORE_BYTES = 80 * 2**20  # the least that Ray takes is 75 MB
# `ray start` without the dashboard's part of a node, which takes longest to start.
_START = """
from ray._private import utils
from ray.scripts.scripts import main
utils.get_dashboard_dependency_error = lambda: ImportError("not wanted")
main()
"""
_MAX_STARTS = 4
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_memory_monitor_refresh_ms": "0",  # other tests' memory is not its business
    "RAY_agent_register_timeout_ms": "120000",  # a machine that runs other tests too is slow
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_failure_threshold": "3",
}


def need_ray() -> None:
    """Skip, or in CI fail, where Ray is not installed as the requirements say."""
    script = ROOT / "scripts" / "ray_environment.py"
    done = subprocess.run([sys.executable, str(script), "--check"], check=False, timeout=60)
    if done.returncode == 0:
        return
    reason = f"Ray is not installed; run: {INSTALL}"
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def need_ray_nodes() -> None:
    """Skip where nodes are not asked for: each takes the cores from other tests as it starts."""
    if not os.environ.get("SATSUMA_RAY_NODES"):
        pytest.skip("starts nodes of Ray; run: make ray-test")
    need_ray()


@dataclass(eq=False)
class Node:
    """A node: its `ray start`, and everything that it has started.

    Attributes:
        told: what it said until it ran.
    """

    process: subprocess.Popen[str]
    told: str = ""

    is_killed: bool = False

    def kill(self) -> None:
        """End all its processes at one stroke, as a power cut would."""
        if self.is_killed:
            return
        self.is_killed = True
        for pid in (*_descendants(self.process.pid), self.process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


@dataclass
class RayCluster:
    """A head, and worker nodes.

    Attributes:
        address: of the head, as `--address` and `--ray` take it.
        env: of every process of it.
        nodes: the head first.
    """

    folder: Path
    env: Mapping[str, str]
    address: str = ""
    nodes: list[Node] = field(default_factory=list)

    def add_node(self, num_cpus: int = 1, **env: str) -> Node:
        """Start a worker node; it has joined when this returns."""
        return self._start(["--address", self.address], num_cpus, env)

    def start_head(self, num_cpus: int = 1) -> Node:
        """Start the head."""
        ports = _free_ports(2)
        flags = ["--head", "--port", str(ports[0]), "--include-dashboard", "false"]
        flags += ["--ray-client-server-port", str(ports[1]), "--temp-dir", str(self.folder)]
        node = self._start(flags, num_cpus, {})
        found = re.search(r"ray start --address='(\S+?)'", node.told)
        assert found is not None, node.told
        self.address = found[1]
        return node

    def satsuma(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a command as a driver, to its end."""
        return subprocess.run(
            self.command(*arguments),
            env={**self.env, **env},
            capture_output=True,
            text=True,
            timeout=STARTS_WITHIN_S,
            check=False,
        )

    @staticmethod
    def command(*arguments: str) -> list[str]:
        """Give the command of a driver."""
        return [str(RAY_PYTHON), "-m", "satsuma", *arguments]

    def kill_workers(self) -> None:
        """Leave the head alone."""
        while len(self.nodes) > 1:
            self.nodes.pop().kill()

    def stop(self) -> None:
        """Kill everything."""
        self.kill_workers()
        for node in self.nodes:
            node.kill()

    def _start(self, flags: list[str], num_cpus: int, env: Mapping[str, str]) -> Node:
        """Start a node; Ray gives it a quarter of a minute, which a busy machine may not have."""
        command = [str(RAY_PYTHON), "-c", _START, "start", *flags]
        command += ["--num-cpus", str(num_cpus), "--block", "--disable-usage-stats"]
        command += ["--object-store-memory", str(_OBJECT_STORE_BYTES)]
        for _ in range(_MAX_STARTS):
            node = Node(_open(command, {**self.env, **env}))
            self.nodes.append(node)
            if _has_started(node):
                return node
            self.nodes.pop().kill()
        raise AssertionError(node.told)


@dataclass
class Deployed(Server):
    """What `satsuma deploy ray` serves, to be called as a running `satsuma serve`.

    Attributes:
        cluster: where it runs.
    """

    cluster: RayCluster = field(kw_only=True)

    def status(self) -> Any:
        """Ask how it does."""
        done = self.cluster.satsuma("deploy", "status", "--address", self.cluster.address, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@contextmanager
def serving_on_ray(*flags: str, env: Mapping[str, str]) -> Iterator[Deployed]:
    """Deploy on a cluster of one node until the block ends; it is ready when the block begins."""
    with ray_cluster(env, num_head_cpus=2) as cluster:
        yield deploy(cluster, *flags)


def deploy(cluster: RayCluster, *flags: str, port: int | None = None) -> Deployed:
    """Deploy on a cluster, with replicas of one core.

    Args:
        cluster: where.
        flags: more of the command's.
        port: where a cluster listens already; Serve's proxies stay where they are.
    """
    port = port or free_port()
    usual = ("--address", cluster.address, "--port", str(port), "--replica-cores", "1")
    done = cluster.satsuma("deploy", "ray", *usual, *flags)
    assert done.returncode == 0, done.stderr
    url = f"http://127.0.0.1:{port}"
    return Deployed(cluster.nodes[0].process, url, [done.stdout], cluster=cluster)


@contextmanager
def ray_cluster(env: Mapping[str, str], num_head_cpus: int = 1) -> Iterator[RayCluster]:
    """Run a cluster of a head alone until the block ends."""
    # short, since sockets are made below it
    folder = Path(tempfile.mkdtemp(prefix="satsuma-ray-", dir="/tmp"))
    cluster = RayCluster(folder, dict(env) | _QUIET)
    try:
        cluster.start_head(num_head_cpus)
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    """Find a port that nobody listens on."""
    return _free_ports(1)[0]


def _free_ports(number: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    try:
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def _open(command: list[str], env: Mapping[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        env=dict(env),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # Ctrl-C is for the tests
    )


def _has_started(node: Node) -> bool:
    """Read what it says until it runs, after which it says nothing, or until it has ended."""
    assert node.process.stdout is not None
    for line in node.process.stdout:
        node.told += line
        if "--block" in line:
            return True
    return False


def _descendants(pid: int) -> list[int]:
    """List a process's children and theirs, parents first."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found, waiting = [], [pid]
    while waiting:
        below = children.get(waiting.pop(0), [])
        found += below
        waiting += below
    return found
