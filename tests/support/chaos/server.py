"""A server that suffers, in a process of its own, on a port that it keeps."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from support.chaos.client import AwayError, CutError, Reply, ask_once
from support.program import environment

MODEL: Final = "@hf/sentence-transformers/all-minilm-l6-v2"
_PROGRAM: Final = str(Path(__file__).parents[1] / "chaotic_server.py")
_STARTS_WITHIN_S: Final = 180.0
_STOPS_WITHIN_S: Final = 60.0
_LOOKS_EVERY_S: Final = 0.02


@dataclass
class ChaosServer:
    """A server that is started as often as a scene ends it.

    Attributes:
        home: its user's home; the packed weights are there, or where XDG_CACHE_HOME says.
        folder: has its data and its log.
        faults: see `chaotic_server.py`.
        flags: of `satsuma serve`.
    """

    home: Path
    folder: Path
    faults: str = "none"
    flags: tuple[str, ...] = ()
    environ: dict[str, str] = field(default_factory=dict)
    port: int = 0
    program: subprocess.Popen[bytes] | None = None

    @property
    def process_id(self) -> int:
        """The process's."""
        assert self.program is not None
        return self.program.pid

    @property
    def log(self) -> Path:
        """What it printed, of all its lives."""
        return self.folder / "log"

    def start(self) -> None:
        """Run it; nobody waits."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = self.port or _free_port()
        command = [sys.executable, _PROGRAM, self.faults, "serve", "--port", str(self.port)]
        command += ["--model", MODEL, "--data-dir", str(self.folder / "data"), *self.flags]
        env = environment(self.home, **self.environ)
        with self.log.open("ab") as log:
            self.program = subprocess.Popen(command, env=env, stdout=log, stderr=log)

    def send(self, number: signal.Signals) -> None:
        """Signal the process."""
        assert self.program is not None
        self.program.send_signal(number)

    async def ended(self) -> int:
        """Wait for its end; gives the exit code."""
        assert self.program is not None
        return await asyncio.to_thread(self.program.wait, _STOPS_WITHIN_S)

    def kill(self) -> None:
        """As a power cut does."""
        if self.program is not None:
            self.program.kill()
            self.program.wait()
            self.program = None

    async def until_ready(self) -> float:
        """Wait until it would answer; gives the seconds that it took.

        Raises:
            AssertionError: if it ended instead, or takes too long.
        """
        start_s = time.monotonic()
        while not (await self.readiness())[0]:
            assert self.program is not None
            took_s = time.monotonic() - start_s
            is_over = self.program.poll() is not None or took_s > _STARTS_WITHIN_S
            assert not is_over, f"not ready:\n{self.tail()}"
            await asyncio.sleep(_LOOKS_EVERY_S)
        return time.monotonic() - start_s

    async def readiness(self) -> tuple[bool, str]:
        """Ask whether it would answer, and if not, why."""
        reply = await self._get("/ready")
        if reply is None or not isinstance(reply.json, dict):
            return False, "away"
        return bool(reply.json.get("ready")), str(reply.json.get("reason", ""))

    async def waiting_tokens(self) -> int:
        """Ask how much is admitted and not done."""
        reply = await self._get("/satsuma/stats")
        told: Any = None if reply is None else reply.json
        return int(told["result"]["waiting"]["tokens"]) if told else -1

    def num_descriptors(self) -> int:
        """Count its open files and sockets."""
        return len(list(Path(f"/proc/{self.process_id}/fd").iterdir()))

    def has_said(self, words: str) -> bool:
        """Look through all of the log."""
        return words in self.log.read_text(encoding="utf-8", errors="replace")

    def tail(self) -> str:
        """Show the end of the log."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-3000:]

    async def _get(self, path: str) -> Reply | None:
        try:
            return await ask_once(self.port, path)
        except (AwayError, CutError, TimeoutError):
            return None


@contextmanager
def kept_alive(server: ChaosServer) -> Iterator[ChaosServer]:
    """Start a server, and end it with the block whatever happens."""
    server.start()
    try:
        yield server
    finally:
        server.kill()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        port: int = one.getsockname()[1]
        return port
