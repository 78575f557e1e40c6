"""The npm package itself: its types, what its `Ai` sends, and the wheel that carries it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from clients.workers.projects import CONFIG
from clients.workers.tools import HERE, MODULES, NODE, PACKAGE, run_tool, worker_environment

ROOT = PACKAGE.parent


@pytest.fixture
def run_in_node(clients_home: Path) -> Callable[[str], Any]:
    """Run JavaScript that prints JSON; it needs no package."""
    env = worker_environment(clients_home)

    def run(name: str) -> Any:
        done = run_tool([NODE, str(HERE / name)], HERE, env)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def test_the_types(need: Callable[[str], None], clients_home: Path) -> None:
    """The package's JavaScript keeps to its types, and so does who uses it."""
    need("workers")
    compiler = MODULES / "typescript" / "bin" / "tsc"
    command = [NODE, str(compiler), "--project", str(HERE)]
    done = run_tool(command, HERE, worker_environment(clients_home))
    assert done.stdout == ""
    assert done.returncode == 0


def test_what_is_declared_is_exported(run_in_node: Callable[[str], Any]) -> None:
    """Each class, function and constant of a declaration is there when it is imported."""
    exported = run_in_node("exports.js")
    assert len(exported) == 3
    for types, names in exported.items():
        text = (PACKAGE / types).read_text()
        declared = set(re.findall(r"^export (?:class|function|const) (\w+)", text, re.MULTILINE))
        assert declared
        assert declared <= set(names)


def test_what_is_sent(run_in_node: Callable[[str], Any]) -> None:
    """Names are segments of the path, options become headers, and what is not given is not sent."""
    escaped, gateway, page, everything = run_in_node("edges.js")["sent"]
    ai = "http://x/client/v4/accounts/a%20b/ai"
    assert escaped["url"] == f"{ai}/run/@cf/a%23b%3Fc/d"
    assert escaped["headers"]["authorization"] == "Bearer t"
    assert gateway["url"] == f"{ai}/run/p:m"
    headers = {name: value for name, value in gateway["headers"].items() if "aig" in name}
    assert headers == {
        "cf-aig-gateway-id": "g",
        "cf-aig-skip-cache": "true",
        "cf-aig-max-attempts": "2",
    }
    assert page["url"] == f"{ai}/models/search?page=2"
    assert everything["url"] == f"{ai}/models/search?"


def test_odd_answers(run_in_node: Callable[[str], Any]) -> None:
    """A name cannot leave its path; an answer without JSON is an error that says so."""
    seen = run_in_node("edges.js")
    assert seen["escaped"] == "AiError: 5007: No such model ../../tokens or task"
    assert "status 204, and no JSON" in seen["empty"]
    assert seen["emptyRaw"] == 204
    assert re.match("AiInternalError: .* status 502, and no JSON", seen["html"])


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    """What pip would install, of a wheel; building it takes the package index."""
    options = ["--quiet", "--no-deps", "--wheel-dir", str(tmp_path)]
    done = run_tool([sys.executable, "-m", "pip", "wheel", *options, str(ROOT)], ROOT, os.environ)
    if done.returncode and "hatchling" in done.stderr and not os.environ.get("CI"):
        pytest.skip("needs the package index, to build a wheel with hatchling")
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "inside")
    return tmp_path / "inside"


def test_the_wheel_has_the_package(unpacked: Path, tmp_path: Path) -> None:
    """What pip installs can do `satsuma workers init` without this clone."""
    (project := tmp_path / "project").mkdir()
    (project / "wrangler.toml").write_text(CONFIG)
    path = f"import sys; sys.path.insert(0, {str(unpacked)!r})"  # before the clone's
    code = f"{path}; from satsuma.cli.main import main; main()"
    command = [sys.executable, "-I", "-c", code, "workers", "init", str(project)]
    subprocess.run(command, check=True, timeout=60, stdout=subprocess.DEVNULL)
    files = json.loads((PACKAGE / "package.json").read_text())["files"]
    for file in ("package.json", *files):
        written = (project / "satsuma-workers" / file).read_bytes()
        assert written == (PACKAGE / file).read_bytes()
        assert written == (unpacked / "satsuma" / "_workers" / file).read_bytes()
