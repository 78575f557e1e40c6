"""A Worker's project that knows nothing of satsuma, and what `satsuma workers init` makes of it."""

from __future__ import annotations

import re
import subprocess
import sys
import time
import urllib.error
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from clients.weights import ALL_MINILM, Expected, assert_same
from clients.workers.routes import (
    HERE,
    NODE,
    PACKAGE,
    STARTS_WITHIN_S,
    WRANGLER,
    Running,
    ask,
    running,
    worker_environment,
)
from support.program import Server, satsuma

from satsuma.cli.wrangler_config import read_config

ROOT = PACKAGE.parent
CONFIG = """\
# A Worker as it is deployed.
name = "search"
main = "src/index.js"
compatibility_date = "2026-07-01"

[ai]
binding = "BRAIN"

[vars]
COLOUR = "blue"
"""
WORKER = f"""\
export default {{
  async fetch(request, env) {{
    const {{ data }} = await env.BRAIN.run("{ALL_MINILM}", {{ text: ["hello world"] }});
    return Response.json({{ data, colour: env.COLOUR }});
  }},
}};
"""


@pytest.fixture
def project(tmp_path: Path, need: Callable[[str], None]) -> Path:
    """A Worker's project with wrangler installed."""
    need("workers")
    folder = tmp_path / "search"
    (folder / "src").mkdir(parents=True)
    (folder / "wrangler.toml").write_text(CONFIG)
    (folder / "src" / "index.js").write_text(WORKER)
    (folder / "package.json").write_text('{"name": "search", "private": true}')
    (folder / "node_modules").symlink_to(HERE / "node_modules")  # in place of `npm install`
    return folder


@pytest.fixture
def instructions(project: Path, clients_home: Path, clients_server: Server) -> str:
    """What `satsuma workers init` prints; the server's address is not the default one here."""
    env = worker_environment(clients_home)
    done = satsuma("workers", "init", str(project), "--url", clients_server.url, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def dev(project: Path, instructions: str, clients_home: Path) -> Iterator[Running]:
    """The printed command, run by a shell."""
    (command,) = re.findall(r"^  (.*\bnode satsuma-workers/dev\.js)", instructions, re.MULTILINE)
    env = worker_environment(clients_home)
    with running(["sh", "-c", command], project, env) as tool:
        yield tool


@pytest.mark.usefixtures("instructions")
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
def test_what_is_deployed_stays_the_same(project: Path, clients_home: Path) -> None:
    """The configuration is as it was, and wrangler would deploy Cloudflare's own binding."""
    assert (project / "wrangler.toml").read_text() == CONFIG
    command = [NODE, str(WRANGLER), "deploy", "--dry-run"]
    env = worker_environment(clients_home)
    done = subprocess.run(
        command, cwd=project, env=env, capture_output=True, text=True, timeout=60, check=True
    )
    assert re.search(r"env\.BRAIN\s+AI", done.stdout)
    assert "satsuma" not in done.stdout + done.stderr


@pytest.mark.usefixtures("instructions")
def test_what_is_derived(project: Path, clients_home: Path) -> None:
    """Each environment's binding is replaced, under its own name, and nothing else."""
    environment = '[env.staging]\nai = { binding = "AI" }\n[env.plain]\nvars = { A = "//b" }\n'
    (project / "wrangler.toml").write_text(CONFIG + environment)
    code = 'import { satsumaConfig as c } from "./satsuma-workers/config.js"; console.log(c())'
    printed = subprocess.run(
        [NODE, "--input-type=module", "--eval", code],
        cwd=project,
        env=worker_environment(clients_home),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    derived = read_config(Path(printed.strip()))
    assert printed.strip() == str(project / "wrangler.satsuma.jsonc")
    for level, name in ((derived, "BRAIN"), (derived["env"]["staging"], "AI")):
        (binding,) = level.pop("unsafe")["bindings"]
        assert (binding["name"], binding["dev"]["plugin"]["name"]) == (name, "satsuma")
    assert derived.pop("env") == {"staging": {}, "plain": {"vars": {"A": "//b"}}}
    (original := read_config(project / "wrangler.toml")).pop("ai")
    assert derived == {key: value for key, value in original.items() if key != "env"}


def _launch(project: Path, home: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [NODE, str(PACKAGE / "dev.js"), *flags],
        cwd=project,
        env=worker_environment(home),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_launcher_without_wrangler(tmp_path: Path, clients_home: Path) -> None:
    """It says what to install."""
    (tmp_path / "wrangler.toml").write_text(CONFIG)
    done = _launch(tmp_path, clients_home)
    assert done.returncode == 1
    assert "npm install --save-dev wrangler" in done.stderr


def test_the_launcher_without_a_binding(project: Path, clients_home: Path) -> None:
    """It names the configuration, and what it lacks."""
    (project / "wrangler.toml").write_text('name = "search"\nmain = "src/index.js"\n')
    done = _launch(project, clients_home)
    assert done.returncode == 1
    assert "wrangler.toml has no ai binding" in done.stderr


def test_the_launcher_without_a_configuration(tmp_path: Path, clients_home: Path) -> None:
    """It lists the names that it looked for."""
    done = _launch(tmp_path, clients_home, "--config", "nowhere.toml")
    assert done.returncode == 1
    assert "nowhere.toml does not exist" in done.stderr
    assert "No wrangler.json" in _launch(tmp_path, clients_home).stderr


def test_the_types(need: Callable[[str], None], clients_home: Path) -> None:
    """The package's JavaScript keeps to its types, and so does who uses it."""
    need("workers")
    compiler = HERE / "node_modules" / "typescript" / "bin" / "tsc"
    done = subprocess.run(
        [NODE, str(compiler), "--project", str(HERE)],
        env=worker_environment(clients_home),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout == ""
    assert done.returncode == 0


def test_the_wheel_has_the_package(tmp_path: Path) -> None:
    """What pip installs can do `satsuma workers init` without this clone."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", str(ROOT)]
    subprocess.run([*command, "--wheel-dir", str(tmp_path)], check=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    inside = tmp_path / "inside"
    zipfile.ZipFile(wheel).extractall(inside)
    for file in (path for path in PACKAGE.rglob("*") if path.is_file()):
        copy = inside / "satsuma" / "_workers" / file.relative_to(PACKAGE)
        assert copy.read_bytes() == file.read_bytes()
    project = tmp_path / "project"
    project.mkdir()
    (project / "wrangler.toml").write_text(CONFIG)
    path = f"import sys; sys.path.insert(0, {str(inside)!r})"  # before the clone's
    code = f"{path}; from satsuma.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, "workers", "init", str(project)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (project / "satsuma-workers" / "dev.js").is_file()
