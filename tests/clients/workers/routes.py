"""The ways in which a Worker, or a program, has an `env.AI` that satsuma answers."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from clients.programs import run_program
from clients.workers.tools import (
    HERE,
    MODULES,
    NODE,
    PACKAGE,
    VITEST,
    WRANGLER,
    ask,
    run_script,
    run_tool,
    running,
    worker_environment,
)

Seen = dict[str, Any]
"""What calls.js tells: an answer or a failure, by the call's name."""


@functools.cache
def bundle(home: Path) -> Path:
    """Let wrangler bundle the worker, as it would for a deployment."""
    folder = home / "bundle"
    flags = ["deploy", "--dry-run", "--outdir", str(folder)]
    run_script(WRANGLER, *flags, folder=HERE, env=worker_environment(home))
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
    report = folder / "vitest.json"
    flags = ["run", "--reporter=json", f"--outputFile={report}"]
    done = run_tool([NODE, str(VITEST), *flags], HERE, env)
    told = report.read_text() if report.is_file() else ""
    assert done.returncode == 0, done.stdout + done.stderr + told
    (file,) = json.loads(told)["testResults"]
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
    for name in ("proxy.js", "address.js", "workerd/config.capnp"):
        (folder / name).write_bytes((PACKAGE / name).read_bytes())
    (folder / "workerd" / "worker.js").write_bytes(worker.read_bytes())
    binary = MODULES / "workerd" / "bin" / "workerd"
    config = str(folder / "workerd" / "config.capnp")
    flags = ["--socket-addr", "http=127.0.0.1:0", "--control-fd", "1"]
    with running([str(binary), "serve", config, *flags], folder, env) as tool:
        port = tool.wait_for(r'"socket":"http","port":(\d+)')[1]
        yield f"http://127.0.0.1:{port}"
