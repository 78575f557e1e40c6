"""Running Cloudflare's tools: their environment, their start and their end."""

from __future__ import annotations

import contextlib
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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clients.programs import program_environment

HERE = Path(__file__).parent
PACKAGE = HERE.parent.parent.parent / "workers"
BIN = Path(sys.executable).parent
NODE = str(BIN / "node")
MODULES = HERE / "node_modules"
WRANGLER = MODULES / "wrangler" / "bin" / "wrangler.js"
VITE = MODULES / "vite" / "bin" / "vite.js"
VITEST = MODULES / "vitest" / "vitest.mjs"
STARTS_WITHIN_S = 120.0  # on a machine that is busy with something else

_SPARED = {"CLOUDFLARE_CF_FETCH_ENABLED": "false", "NO_COLOR": "1", "CI": "1"}


def worker_environment(home: Path, **more: str) -> dict[str, str]:
    """Give the environment of Cloudflare's tools: nobody is logged in, nothing is reported."""
    return program_environment(home, **_SPARED | more)


def run_tool(
    command: list[str], folder: Path, env: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a tool to its end, however that is."""
    return subprocess.run(
        command,
        cwd=folder,
        env=dict(env),
        capture_output=True,
        text=True,
        timeout=STARTS_WITHIN_S,
        check=False,
    )


def run_script(path: Path, *arguments: str, folder: Path, env: Mapping[str, str]) -> str:
    """Run JavaScript that must not fail, and give what it printed."""
    done = run_tool([NODE, str(path), *arguments], folder, env)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


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


@contextlib.contextmanager
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
            with contextlib.suppress(ProcessLookupError):  # it has ended, and all of it
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
