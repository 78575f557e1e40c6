"""README.md and docs/: every block of code is run, in its order, against a real server."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Container
from pathlib import Path

import pytest
from clients.programs import NO_TELEMETRY, ROOT, TRIPWIRE, stale_environments
from clients.workers.tools import MODULES
from support.pages import (
    Block,
    PageError,
    check_outputs,
    is_shown,
    list_pages,
    outputs_of,
    read_blocks,
    write_script,
)
from support.ports import free_ports
from support.program import environment
from support.ray_cluster import RAY_PYTHON, need_ray_nodes

PAGES = list_pages(ROOT)
BIN = Path(sys.executable).parent
TAKES_S = 400.0  # on a machine that is busy with something else
SERVER_PORT, WORKER_PORT = "7768", "8787"  # as the pages have them
UUID = "79b37c3d-7a5b-4b2a-a7b0-5d9c6c1b8a2"  # but for its last digit
SPARED = {"CLOUDFLARE_CF_FETCH_ENABLED": "false", "NO_COLOR": "1", "CI": "1"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home for all pages, with the commands that they take for granted."""
    folder = tmp_path_factory.mktemp("home")
    for name, module in (("satsuma", "-m satsuma"), ("python", "")):
        _write_command(folder / "bin" / name, f"{sys.executable} {module}")
    _write_command(folder / "ray" / "satsuma", f"{RAY_PYTHON} -m satsuma")
    return folder


def _write_command(command: Path, words: str) -> None:
    command.parent.mkdir(exist_ok=True)
    command.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
    command.chmod(0o755)


@pytest.fixture(scope="module")
def find_missing() -> Callable[[str], str]:
    """Say why an environment of other people's packages is not here; empty if it is."""
    stale = stale_environments()

    def find(name: str) -> str:
        if name == "ray":
            try:
                need_ray_nodes()
            except pytest.skip.Exception as reason:
                return str(reason)
            return ""
        wanted = {"clients": "current", "workers": "workers"}[name]
        return f"the clients of {wanted} are not installed" if wanted in stale else ""

    return find


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_runs(
    page: Path, home: Path, tmp_path: Path, find_missing: Callable[[str], str]
) -> None:
    """In a folder of its own, and prints what the page shows."""
    blocks = read_blocks(page.read_text(encoding="utf-8"))
    wanted = {block.environment for block in blocks if block.environment}
    missing = {name: reason for name in wanted if (reason := find_missing(name))}
    run_page(blocks, home, tmp_path, missing)
    if missing:
        report = "; ".join(sorted(missing.values()))
        if os.environ.get("CI") and "nodes of Ray" not in report:
            pytest.fail(report, pytrace=False)
        pytest.skip(f"the other blocks ran: {report}")


def run_page(blocks: list[Block], home: Path, folder: Path, missing: Container[str] = ()) -> None:
    """Run a page's blocks to their end, and whatever they have started with them."""
    with (folder / "out").open("w+") as out, (folder / "err").open("w+") as err:
        process = subprocess.Popen(
            ["bash", "-c", write_page(blocks, missing)],  # noqa: S607
            cwd=_scratch(folder),
            env=_environment(home, folder),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
        try:
            code = process.wait(TAKES_S)
        finally:
            with contextlib.suppress(ProcessLookupError):  # it has ended, and all of it
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        outputs = (folder / "out").read_text(encoding="utf-8")
        assert code == 0, outputs + (folder / "err").read_text(encoding="utf-8")
    check_outputs(blocks, outputs_of(outputs))


def write_page(blocks: list[Block], missing: Container[str]) -> str:
    """Write the script, with ports that are free now."""
    server_port, worker_port = free_ports()
    ports = {SERVER_PORT: server_port, WORKER_PORT: worker_port}
    told = {"SATSUMA_PORT": server_port, "SATSUMA_URL": f"http://127.0.0.1:{server_port}"}
    exports = "".join(f"export {name}={value}\n" for name, value in told.items())
    return exports + write_script(blocks, ports, missing)


def _scratch(folder: Path) -> Path:
    scratch = folder / "scratch"
    scratch.mkdir()
    return scratch


def _environment(home: Path, folder: Path) -> dict[str, str]:
    path = os.pathsep.join([str(home / "bin"), str(BIN), os.environ["PATH"]])
    told = {
        "BIN_clients": str(ROOT / ".venv" / "clients" / "current" / "bin"),
        "BIN_ray": os.pathsep.join([str(home / "ray"), str(RAY_PYTHON.parent)]),
        "BIN_workers": str(BIN),
        "NODE_MODULES": str(MODULES),
        "SATSUMA_DATA_DIR": str(folder / "data"),  # a page's tokens close no other page's server
    }
    return environment(home, PATH=path, **TRIPWIRE, **NO_TELEMETRY, **SPARED, **told)


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("```\nsome code\n```\n", "line 1: who runs it"),
        ("text\n\n```json\n{}\n```\n", "line 3: who runs it"),
        ("<!-- code: not run: -->\n```sh\nrm -rf /\n```\n", "a reason where it is not run"),
        ("<!-- code: maybe -->\n```sh\ntrue\n```\n", "nobody knows maybe"),
        ("1. so\n\n   ```sh\n   true\n   ```\n", "indented"),
        ("text\n\n    rm -rf /\n", "code needs a fence:     rm -rf /"),
        ("<!-- code: server -->\n\n```sh\ntrue\n```\n", "right before no block"),
    ],
)
def test_a_block_that_nobody_runs_is_an_error(page: str, message: str) -> None:
    """A page cannot have code that was never tried, unless it says why."""
    with pytest.raises(PageError, match=message):
        read_blocks(page)


@pytest.mark.parametrize(
    ("shown", "printed", "is_same"),
    [
        ("1 note", "1 note\n", True),
        ("1 note", "2 notes", False),
        ("0.51 ...\n", "0.5101 and so on\nand on", True),
        ("0.51", "0.61", False),
        ('{"data":[[-0.0345,0.031,...]],"n":4}', '{"data":[[-0.03447,0.03102,1.5]],"n":4}', True),
        ('{"data":[[-0.0345,...]],"n":4}', '{"data":[[-0.03447,0.03102]],"n":5}', False),
        (f"no ({UUID}0)", f"no ({UUID}7)", True),
        (f"no ({UUID}0)", "no (7)", False),
    ],
)
def test_what_a_page_shows_is_what_is_printed(shown: str, printed: str, is_same: bool) -> None:
    """But for what it leaves out, and for the last digits of numbers."""
    assert is_shown(shown, printed) == is_same


def test_a_page_that_shows_something_else_fails(home: Path, tmp_path: Path) -> None:
    """The line is named, and so is what was printed."""
    page = "```sh\necho 7\n```\n\n<!-- code: output -->\n```text\n8\n```\n"
    with pytest.raises(AssertionError, match=r"line 6 shows\n8\n\nand printed was\n7"):
        run_page(read_blocks(page), home, tmp_path)


def test_a_block_that_fails_ends_the_page(home: Path, tmp_path: Path) -> None:
    """What came after it is not run."""
    page = "```sh\nfalse\n```\n\n```sh\ntouch later\n```\n"
    with pytest.raises(AssertionError):
        run_page(read_blocks(page), home, tmp_path)
    assert not (tmp_path / "scratch" / "later").exists()
