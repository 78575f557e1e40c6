"""The ways in which a Worker, or a program, has an `env.AI` that satsuma answers."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clients.programs import program_environment, run_program

HERE = Path(__file__).parent
PACKAGE = HERE.parent.parent.parent / "workers"
BIN = Path(sys.executable).parent
NODE = str(BIN / "node")
WRANGLER = HERE / "node_modules" / "wrangler" / "bin" / "wrangler.js"
STARTS_WITHIN_S = 60.0

Seen = dict[str, Any]
"""What calls.js tells: an answer or a failure, by the call's name."""

_SPARED = {"CLOUDFLARE_CF_FETCH_ENABLED": "false", "NO_COLOR": "1", "CI": "1"}


def worker_environment(home: Path, **more: str) -> dict[str, str]:
    """Give the environment of Cloudflare's tools: nobody is logged in, nothing is reported."""
    return program_environment(home, **_SPARED | more)


@dataclass
class Running:
    """A tool that runs until it is stopped.

    Attributes:
        lines: what it has printed, both streams.
    """

    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)

    @property
    def output(self) -> str:
        """Everything printed so far."""
        return "".join(self.lines)

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Wait until it has printed this."""
        deadline = time.monotonic() + STARTS_WITHIN_S
        while time.monotonic() < deadline and self.process.poll() is None:
            if found := re.search(pattern, self.output):
                return found
            time.sleep(0.02)
        raise AssertionError(f"{pattern} was not printed:\n{self.output}")


@contextmanager
def running(command: list[str], folder: Path, env: Mapping[str, str]) -> Iterator[Running]:
    """Run a tool in a process group of its own; the group ends with the block."""
    with subprocess.Popen(
        command,
        cwd=folder,
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        tool = Running(process)
        reader = threading.Thread(target=_read, args=(tool,))
        reader.start()
        try:
            yield tool
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            reader.join()


def _read(tool: Running) -> None:
    assert tool.process.stdout is not None
    tool.lines.extend(tool.process.stdout)


def ask(url: str, given: Any = None) -> Any:
    """GET, or POST JSON, and read the JSON of the answer."""
    body = None if given is None else json.dumps(given).encode()
    with urllib.request.urlopen(url, body, timeout=STARTS_WITHIN_S) as answer:
        return json.load(answer)


def bundle(folder: Path, home: Path) -> Path:
    """Let wrangler bundle the worker, as it would for a deployment."""
    command = [NODE, str(WRANGLER), "deploy", "--dry-run", "--outdir", str(folder)]
    done = subprocess.run(
        command,
        cwd=HERE,
        env=worker_environment(home),
        capture_output=True,
        text=True,
        timeout=STARTS_WITHIN_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "worker.js"


def in_wrangler_dev(env: Mapping[str, str]) -> Seen:
    """`wrangler dev`, through the launcher."""
    flags = ["--port", "0", "--inspector-port", "0"]
    command = [NODE, str(PACKAGE / "dev.js"), *flags]
    with running(command, HERE, env) as tool:
        url = tool.wait_for(r"Ready on (http://\S+)")[1]
        seen: Seen = ask(url, json.loads(env["GIVEN"]))
    return seen


def in_vitest(env: Mapping[str, str], folder: Path) -> Seen:
    """vitest-pool-workers, with the derived configuration."""
    vitest = HERE / "node_modules" / "vitest" / "vitest.mjs"
    report = folder / "vitest.json"
    command = [NODE, str(vitest), "run", "--reporter=json", f"--outputFile={report}"]
    done = subprocess.run(
        command,
        cwd=HERE,
        env=dict(env),
        capture_output=True,
        text=True,
        timeout=STARTS_WITHIN_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (file,) = json.loads(report.read_text())["testResults"]
    (test,) = file["assertionResults"]
    seen: Seen = test["meta"]["seen"]
    return seen


def in_miniflare(env: Mapping[str, str], worker: Path) -> Seen:
    """Miniflare 4, by its own API."""
    seen: Seen = run_program([NODE, str(HERE / "miniflare.js"), str(worker)], HERE, dict(env))
    return seen


def in_workerd(env: Mapping[str, str], worker: Path, folder: Path) -> Seen:
    """The bare runtime, with the package's configuration around this worker."""
    with workerd(env, worker, folder) as url:
        seen: Seen = ask(url, json.loads(env["GIVEN"]))
    return seen


def in_node(env: Mapping[str, str]) -> Seen:
    """The package's `Ai` over REST."""
    seen: Seen = run_program([NODE, str(HERE / "node.js")], HERE, dict(env))
    return seen


@contextmanager
def workerd(env: Mapping[str, str], worker: Path, folder: Path) -> Iterator[str]:
    """Serve a worker by the package's config.capnp; give the address."""
    (folder / "workerd").mkdir(parents=True)
    for name in ("proxy.js", "workerd/config.capnp"):
        (folder / name).write_bytes((PACKAGE / name).read_bytes())
    (folder / "workerd" / "worker.js").write_bytes(worker.read_bytes())
    binary = HERE / "node_modules" / "workerd" / "bin" / "workerd"
    config = str(folder / "workerd" / "config.capnp")
    flags = ["--socket-addr", "http=127.0.0.1:0", "--control-fd", "1"]
    with running([str(binary), "serve", config, *flags], folder, env) as tool:
        port = tool.wait_for(r'"socket":"http","port":(\d+)')[1]
        yield f"http://127.0.0.1:{port}"
