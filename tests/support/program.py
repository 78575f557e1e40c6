"""Running the real `satsuma` command in a process of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

STARTS_WITHIN_S = 90.0
STOPS_WITHIN_S = 40.0


def environment(home: Path, **more: str) -> dict[str, str]:
    """An environment with a home of its own, and no settings from outside."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(_OURS)}
    offline = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(home / "hf")}
    return kept | {"HOME": str(home), "PYTHONUNBUFFERED": "1"} | offline | more


_OURS = ("SATSUMA_", "HF_", "XDG_")


def satsuma(
    *arguments: str, env: Mapping[str, str], stdin: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "satsuma", *arguments],
        env=dict(env),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=STARTS_WITHIN_S,
        check=False,
    )


@dataclass
class Server:
    """A running `satsuma serve`.

    Attributes:
        url: where it listens.
        lines: what it has printed so far, both streams.
    """

    process: subprocess.Popen[str]
    url: str = ""
    lines: list[str] = field(default_factory=list)

    def run_url(self, model: str, account: str = "me") -> str:
        """The address of a model."""
        return f"{self.url}/client/v4/accounts/{account}/ai/run/{model}"

    @property
    def output(self) -> str:
        """Everything printed so far."""
        return "".join(self.lines)

    def terminate(self) -> int:
        """Ask it to stop, and wait until it has."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOPS_WITHIN_S)


@contextmanager
def serving(*flags: str, env: Mapping[str, str], has_own_group: bool = False) -> Iterator[Server]:
    """Run a server on a free port until the block ends; it is ready when the block begins.

    Args:
        flags: of `satsuma serve`.
        env: its environment.
        has_own_group: whether a signal to its group reaches it and its own processes alone.
    """
    command = [sys.executable, "-m", "satsuma", "serve", "--port", "0", *flags]
    process = subprocess.Popen(
        command,
        env=dict(env),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=has_own_group,
    )
    server = Server(process)
    is_settled = threading.Event()  # ready, or ended
    reader = threading.Thread(target=_read, args=(server, is_settled))
    reader.start()
    try:
        assert is_settled.wait(STARTS_WITHIN_S), server.output
        yield server
    finally:
        process.kill()
        process.wait()
        reader.join()
        assert process.stdout is not None
        process.stdout.close()


def _read(server: Server, is_settled: threading.Event) -> None:
    assert server.process.stdout is not None
    for line in server.process.stdout:
        server.lines.append(line)
        if found := re.search(r"Listening on (http://\S+?),", line):
            server.url = found[1]
        if line.startswith("Ready:"):
            is_settled.set()
    is_settled.set()
