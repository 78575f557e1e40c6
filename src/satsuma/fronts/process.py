"""One front: a process of its own, and the connection to it."""

from __future__ import annotations

import socket
import subprocess
import sys
from dataclasses import dataclass
from typing import Final, Self

from satsuma.background import run_in_background
from satsuma.fronts.connection import Connection, Handlers, connect

_MODULE: Final = "satsuma.cli.front"


@dataclass(frozen=True, slots=True)
class FrontProcess:
    """A front that was started.

    Attributes:
        process: it.
        connection: to call it; lost when it ends.
    """

    process: subprocess.Popen[bytes]
    connection: Connection

    @classmethod
    async def start(cls, listener: socket.socket, handlers: Handlers) -> Self:
        """Start a front that accepts from `listener` and may call these handlers.

        It is a new interpreter, not a fork: this process has threads, and locks that they hold. It
        has a process group of its own, so that a terminal's Ctrl-C is the main process's alone.

        Raises:
            OSError: if the system has no process or descriptor left.
            RuntimeError: if it has no thread left.
        """
        ours, theirs = socket.socketpair()
        with theirs, listener.dup() as accepting:
            passed = (theirs.fileno(), accepting.fileno())
            command = [sys.executable, "-P", "-m", _MODULE, *map(str, passed)]
            process = await run_in_background(
                lambda: subprocess.Popen(
                    command, pass_fds=passed, stdin=subprocess.DEVNULL, process_group=0
                )
            )
        ours.setblocking(False)
        return cls(process, await connect(ours, handlers))

    async def wait(self) -> int:
        """Wait for its end; returns its exit code, below 0 for a signal's number."""
        return await run_in_background(self.process.wait)

    def kill(self) -> None:
        """End it now, if it has not ended."""
        self.process.kill()

    def drain(self) -> None:
        """Let it answer what it has begun, and end."""
        self.connection.tell("drain")
