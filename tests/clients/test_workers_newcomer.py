"""A Worker's project that knows nothing of satsuma, and what `satsuma workers init` makes of it."""

from __future__ import annotations

import json
import re
import sys
import time
import urllib.error
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from clients.weights import ALL_MINILM, Expected, assert_same
from clients.workers.projects import CONFIG, write_project
from clients.workers.tools import (
    NODE,
    PACKAGE,
    STARTS_WITHIN_S,
    VITE,
    WRANGLER,
    Running,
    ask,
    run_script,
    run_tool,
    running,
    worker_environment,
)
from support.program import Server, satsuma

from satsuma.cli.wrangler_config import read_config

DOCS = PACKAGE.parent / "docs" / "workers.md"


@pytest.fixture
def project(tmp_path: Path, need: Callable[[str], None]) -> Path:
    """A Worker's project, in a folder whose name a shell would take apart."""
    need("workers")
    return write_project(tmp_path / "my search")


@pytest.fixture
def env(clients_home: Path) -> dict[str, str]:
    """The environment of a shell."""
    return worker_environment(clients_home)


@pytest.fixture
def instructions(project: Path, env: dict[str, str], clients_server: Server) -> str:
    """What `satsuma workers init` prints; the server's address is not the default one here."""
    done = satsuma("workers", "init", str(project), "--url", clients_server.url, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def dev(project: Path, instructions: str, env: dict[str, str]) -> Iterator[Running]:
    """The printed command, run by a shell."""
    (command,) = re.findall(r"^  (.*\bnode satsuma-workers/dev\.js)$", instructions, re.MULTILINE)
    with running(["sh", "-c", command], project.parent, env) as tool:
        yield tool


def test_a_newcomer(
    project: Path, clients_server: Server, dev: Running, expected: Expected
) -> None:
    """From the printed command to the right vector; an edit of the configuration is taken up."""
    started = time.monotonic()
    url = dev.wait_for(r"Ready on (http://\S+)")[1]
    answer = ask(url)
    spent_s = time.monotonic() - started
    sys.stdout.write(f"newcomer: answered {spent_s:.1f} s after the printed command\n")
    assert_same(answer["data"], expected(["hello world"], ALL_MINILM))
    assert answer["colour"] == "blue"
    assert f"env.AI is answered by {clients_server.url}" in dev.output
    (project / "wrangler.toml").write_text(CONFIG.replace("blue", "green"))
    assert _wait_for_colour(url, "green")


def _wait_for_colour(url: str, colour: str) -> bool:
    deadline = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < deadline:
        try:
            if ask(url)["colour"] == colour:
                return True
        except (urllib.error.URLError, ConnectionError):
            pass  # the worker is being replaced
        time.sleep(0.1)
    return False


@pytest.mark.usefixtures("instructions")
def test_what_is_deployed_stays_the_same(project: Path, env: dict[str, str]) -> None:
    """The configuration is as it was, and wrangler would deploy Cloudflare's own binding."""
    done = run_tool([NODE, str(WRANGLER), "deploy", "--dry-run"], project, env)
    assert (project / "wrangler.toml").read_text() == CONFIG
    assert re.search(r"env\.BRAIN\s+AI", done.stdout)
    assert "satsuma" not in done.stdout + done.stderr


@pytest.mark.usefixtures("instructions")
def test_what_vite_builds_stays_the_same(project: Path, env: dict[str, str]) -> None:
    """With the documented vite.config.js, a build is Cloudflare's own, and so is its deployment."""
    (config,) = re.findall(r"(?ms)^```js\n(// vite\.config\.js\n.*?)^```", DOCS.read_text())
    (project / "vite.config.js").write_text(config)
    run_script(VITE, "build", folder=project, env=env)
    built = read_config(project / "dist" / "search" / "wrangler.json")
    assert built["ai"] == {"binding": "BRAIN"}
    assert "unsafe" not in built
    done = run_tool([NODE, str(WRANGLER), "deploy", "--dry-run"], project, env)
    assert "dist/search/wrangler.json" in done.stdout
    assert re.search(r"env\.BRAIN\s+AI", done.stdout)
    assert "satsuma" not in done.stdout + done.stderr


@pytest.mark.usefixtures("instructions")
def test_what_is_derived(project: Path, env: dict[str, str]) -> None:
    """Each environment's binding is replaced, under its own name, and nothing else."""
    environment = '[env.staging]\nai = { binding = "AI" }\n[env.plain]\nvars = { A = "//b" }\n'
    (project / "wrangler.toml").write_text(CONFIG + environment)
    (path,) = _derive(project, env, "satsumaConfig()")
    derived = read_config(path)
    assert path == project / "wrangler.satsuma.jsonc"
    for level, name in ((derived, "BRAIN"), (derived["env"]["staging"], "AI")):
        (binding,) = level.pop("unsafe")["bindings"]
        assert (binding["name"], binding["dev"]["plugin"]["name"]) == (name, "satsuma")
    assert derived.pop("env") == {"staging": {}, "plain": {"vars": {"A": "//b"}}}
    (original := read_config(project / "wrangler.toml")).pop("ai")
    assert derived == {key: value for key, value in original.items() if key != "env"}


@pytest.mark.usefixtures("instructions")
def test_what_is_derived_of_several(project: Path, env: dict[str, str]) -> None:
    """Each configuration of a folder has a file of its own; it is found from below, too."""
    (project / "wrangler.json").write_text('{"name": "other", "ai": {"binding": "AI"}}')
    calls = [
        'satsumaConfig("wrangler.json")',
        'satsumaConfig("wrangler.toml")',
        '(process.chdir("src"), satsumaConfig())',
    ]
    assert _derive(project, env, *calls) == [
        project / "wrangler.satsuma.jsonc",
        project / "wrangler.toml.satsuma.jsonc",
        project / "wrangler.satsuma.jsonc",
    ]


def _derive(project: Path, env: dict[str, str], *calls: str) -> list[Path]:
    """Evaluate calls of the project's `satsumaConfig`."""
    imported = 'import { satsumaConfig } from "./satsuma-workers/config.js";'
    code = f"{imported} console.log(JSON.stringify([{', '.join(calls)}]))"
    done = run_tool([NODE, "--input-type=module", "--eval", code], project, env)
    assert done.returncode == 0, done.stderr
    return [Path(path) for path in json.loads(done.stdout)]
