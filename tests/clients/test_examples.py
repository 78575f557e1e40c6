"""The programs of examples/, as they are: each gives the library's vectors."""

from __future__ import annotations

import json
import os
import shutil
import sys
import urllib.parse
from collections.abc import Callable
from pathlib import Path

import pytest
from clients.programs import ROOT
from clients.weights import Expected, assert_same
from clients.workers.tools import MODULES, NODE, ask, run_tool, running, worker_environment
from support.program import Server, satsuma

EXAMPLES = ROOT / "examples"


@pytest.fixture
def env(clients_home: Path, clients_server: Server) -> dict[str, str]:
    """Say where the server is, as the examples' READMEs do."""
    return worker_environment(clients_home, SATSUMA_URL=clients_server.url)


def run(command: list[str], env: dict[str, str]) -> str:
    """Run an example to its end."""
    done = run_tool(command, EXAMPLES, env)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_node(env: dict[str, str], expected: Expected, texts: tuple[str, ...]) -> None:
    """`fetch` and nothing else."""
    printed = run([NODE, str(EXAMPLES / "node" / "embed.js"), *texts], env)
    assert_same(json.loads(printed)["data"], expected(texts))


def test_python(env: dict[str, str], expected: Expected, texts: tuple[str, ...]) -> None:
    """`requests`, in this environment."""
    printed = run([sys.executable, str(EXAMPLES / "python" / "embed.py"), *texts], env)
    assert_same(json.loads(printed)["data"], expected(texts))


def test_curl(env: dict[str, str], expected: Expected, texts: tuple[str, ...]) -> None:
    """The script prints the whole envelope."""
    script = EXAMPLES / "curl" / "embed.sh"
    assert os.access(script, os.X_OK)
    answer = json.loads(run([str(script), json.dumps({"text": texts})], env))
    assert answer["success"]
    assert_same(answer["result"]["data"], expected(texts))


def test_worker(
    env: dict[str, str],
    need: Callable[[str], None],
    expected: Expected,
    texts: tuple[str, ...],
    tmp_path: Path,
) -> None:
    """The binding and the SDK, under `wrangler dev`, by the steps of the README."""
    need("workers")
    project = shutil.copytree(EXAMPLES / "worker", tmp_path / "worker")
    (project / "node_modules").symlink_to(MODULES)  # in place of `npm install`
    assert satsuma("workers", "init", str(project), env=env).returncode == 0
    query = urllib.parse.urlencode({"text": texts}, doseq=True)
    with running([NODE, "satsuma-workers/dev.js"], project, env) as tool:
        url = tool.wait_for(r"Ready on (http://\S+)")[1]
        answers = [ask(f"{url}/?{query}"), ask(f"{url}/sdk?{query}")]
    for answer in answers:
        assert_same(answer["data"], expected(texts))
