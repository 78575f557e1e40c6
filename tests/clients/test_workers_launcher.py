"""`satsuma-workers/dev.js`: how it starts wrangler, ends it, and says why it cannot."""

from __future__ import annotations

import contextlib
import http.server
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from clients.workers.projects import CONFIG, write_project
from clients.workers.tools import (
    NODE,
    PACKAGE,
    STARTS_WITHIN_S,
    Running,
    run_tool,
    running,
    worker_environment,
)

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
DEV = PACKAGE / "dev.js"
PROCESSES = Path("/proc")

Launch = Callable[..., subprocess.CompletedProcess[str]]
"""Flags, and the environment's variables -> how the launcher ended."""


@pytest.fixture
def project(tmp_path: Path, need: Callable[[str], None]) -> Path:
    """A Worker's project with wrangler installed."""
    need("workers")
    return write_project(tmp_path / "search")


@pytest.fixture
def launch(tmp_path: Path, clients_home: Path) -> Launch:
    """Run the launcher where the project is, or would be; it must not come to wrangler."""

    def run(*flags: str, **more: str) -> subprocess.CompletedProcess[str]:
        folder = tmp_path / "search" if (tmp_path / "search").is_dir() else tmp_path
        return run_tool([NODE, str(DEV), *flags], folder, worker_environment(clients_home, **more))

    return run


@pytest.fixture(scope="module")
def launched(
    tmp_path_factory: pytest.TempPathFactory, clients_home: Path, need: Callable[[str], None]
) -> Iterator[Mapping[signal.Signals, Running]]:
    """A running launcher for each signal; they start together, since each waits for its disk."""
    need("workers")
    env = worker_environment(clients_home)
    # The `node` of the index is a Python script that runs another program: not who is told.
    node = run_tool([NODE, "-p", "process.execPath"], PACKAGE, env).stdout.strip()
    command = [node, str(DEV), "--port", "0", "--inspector-port", "0"]
    with contextlib.ExitStack() as stack:
        tools = {}
        for one in SIGNALS:
            folder = write_project(tmp_path_factory.mktemp("launched") / "search")
            tools[one] = stack.enter_context(running(command, folder, env))
        yield tools


@pytest.mark.skipif(not (PROCESSES / "self" / "stat").is_file(), reason="lists Linux's processes")
@pytest.mark.parametrize("told", SIGNALS)
def test_nothing_is_left(launched: Mapping[signal.Signals, Running], told: signal.Signals) -> None:
    """A signal to the launcher alone ends wrangler, workerd and esbuild too."""
    tool = launched[told]
    tool.wait_for(r"Ready on (http://\S+)")
    assert len(_names_in_group(tool.process.pid)) > 2
    tool.process.send_signal(told)
    tool.process.wait(STARTS_WITHIN_S)
    deadline = time.monotonic() + STARTS_WITHIN_S
    while _names_in_group(tool.process.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert _names_in_group(tool.process.pid) == []


def _names_in_group(group: int) -> list[str]:
    """List the programs of a process group that still run."""
    names = []
    for process in PROCESSES.glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has just ended
            name, _, rest = (process / "stat").read_text().rpartition(") ")
            state, _, its_group = rest.split()[:3]
            if int(its_group) == group and state != "Z":
                names.append(name)
    return names


def test_without_wrangler(tmp_path: Path, launch: Launch) -> None:
    """It says what to install."""
    (tmp_path / "wrangler.toml").write_text(CONFIG)
    done = launch()
    assert done.returncode == 1
    assert "npm install --save-dev wrangler" in done.stderr


def test_without_a_binding(project: Path, launch: Launch) -> None:
    """It names the configuration, and what it lacks."""
    (project / "wrangler.toml").write_text('name = "search"\nmain = "src/index.js"\n')
    done = launch()
    assert done.returncode == 1
    assert "wrangler.toml has no ai binding" in done.stderr


def test_without_a_configuration(launch: Launch) -> None:
    """It lists the names that it looked for."""
    done = launch("--config", "nowhere.toml")
    assert done.returncode == 1
    assert "nowhere.toml does not exist" in done.stderr
    assert "No wrangler.json" in launch().stderr


def test_in_another_folder(project: Path, tmp_path: Path, launch: Launch) -> None:
    """--cwd comes before all else, as it does in wrangler."""
    (tmp_path / "elsewhere").mkdir()
    for flags in (("--cwd", "../elsewhere"), (f"--cwd={project.parent / 'elsewhere'}",)):
        done = launch(*flags)
        assert done.returncode == 1
        assert f"No wrangler.json, wrangler.jsonc, wrangler.toml in {tmp_path}" in done.stderr


def test_a_broken_configuration(project: Path, launch: Launch) -> None:
    """The message has the file and the line."""
    (project / "wrangler.toml").write_text('name = "search"\nmain = "src\n')
    done = launch()
    assert done.returncode == 1
    assert f"{project / 'wrangler.toml'}:2 cannot be read: " in done.stderr


def test_a_file_of_the_users_in_the_way(project: Path, launch: Launch) -> None:
    """What satsuma did not write is not overwritten."""
    (project / "wrangler.satsuma.jsonc").write_text("// mine\n{}")
    done = launch()
    assert done.returncode == 1
    assert "wrangler.satsuma.jsonc is not of satsuma-workers" in done.stderr
    assert (project / "wrangler.satsuma.jsonc").read_text() == "// mine\n{}"


def test_where_nothing_can_be_written(project: Path, launch: Launch) -> None:
    """The message says what was to be written, and why."""
    (project / "wrangler.satsuma.jsonc").symlink_to("no/such/folder/file")
    done = launch()
    assert done.returncode == 1
    assert "wrangler.satsuma.jsonc cannot be written (ENOENT): wrangler reads" in done.stderr


ADDRESSES = ("gpu-box", "http://me:hunter2@x", "http://x/v1", "http://x?a=hunter2", "http://x#a")


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("url", ADDRESSES)
def test_what_is_no_address(launch: Launch, url: str) -> None:
    """It is refused before wrangler starts; the variable is named, and no secret repeated."""
    done = launch(SATSUMA_URL=url)
    assert done.returncode == 1
    assert "SATSUMA_URL must look like http://" in done.stderr
    assert "hunter2" not in done.stderr


@pytest.mark.usefixtures("project")
def test_what_is_no_token(launch: Launch) -> None:
    """The same, for a token that no header could carry."""
    done = launch(SATSUMA_TOKEN="hunter\n2")
    assert done.returncode == 1
    assert "SATSUMA_TOKEN has a character that no API token has" in done.stderr
    assert "hunter" not in done.stderr


@pytest.fixture
def another_server() -> Iterator[str]:
    """Somebody else's, which answers all paths, in a thread."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<h1>hello</h1>")

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    with http.server.HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_another_server_than_satsuma(
    project: Path, another_server: str, clients_home: Path
) -> None:
    """It is not announced as what answers env.AI."""
    env = worker_environment(clients_home, SATSUMA_URL=f"{another_server}/client/v4")
    with running([NODE, str(DEV), "--port", "0"], project, env) as tool:
        tool.wait_for(f"what answers at {another_server} is not satsuma")
    assert "is answered by" not in tool.output
