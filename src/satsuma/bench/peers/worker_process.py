"""A contender's process, seen from the benchmark: ask it, wait for it, end it."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from satsuma.bench.peers.errors import PeerError, last_line

_STOP_TIMEOUT_S = 40.0  # satsuma's server drains for up to 30
_CHUNK_BYTES = 1 << 16
_LOG_TAIL_CHARACTERS = 4000


class WorkerProcess:
    """One worker program. It leads a session of its own, so that Ctrl-C is for the parent."""

    def __init__(self, command: Sequence[str], environ: Mapping[str, str], log: Path) -> None:
        """Start the program.

        Args:
            command: the program and its arguments.
            environ: its environment variables.
            log: gets what it prints to stderr.
        """
        self._log = log
        self._pending = b""
        self._is_over = False
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                env=dict(environ),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                start_new_session=True,
            )

    def ask(self, command: Mapping[str, Any], limit_s: float) -> dict[str, Any]:
        """Send one command and wait for its answer.

        Raises:
            PeerError: if the answer is an error, if it does not come in time, or if the program
                ends instead. `is_alive` tells whether to go on.
        """
        assert self._process.stdin is not None  # noqa: S101 - it was opened as a pipe
        try:
            self._process.stdin.write(json.dumps(command).encode() + b"\n")
            self._process.stdin.flush()
        except OSError as error:
            raise self._ended() from error
        answer: dict[str, Any] = json.loads(self._read_line(limit_s))
        if "error" in answer:
            raise PeerError(last_line(answer["error"]))
        return answer

    @property
    def is_alive(self) -> bool:
        """Whether it can be asked again."""
        return self._process.poll() is None

    def close(self) -> None:
        """End the program: politely by the end of its stdin, then with all that it started."""
        self._close_stdin()
        try:
            self._process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            pass
        finally:
            self.kill()

    def kill(self) -> None:
        """End the program and all that it started, at once."""
        if self._is_over:  # its number may be another's by now
            return
        self._is_over = True
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._close_stdin()
        assert self._process.stdout is not None  # noqa: S101 - it was opened as a pipe
        self._process.stdout.close()

    def _close_stdin(self) -> None:
        assert self._process.stdin is not None  # noqa: S101 - as above
        with suppress(OSError):  # what it never read is lost
            self._process.stdin.close()

    def __enter__(self) -> Self:
        """Use as a context manager, which ends the program."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """End it; at once if the benchmark itself was interrupted."""
        if kind is None:
            self.close()
        else:
            self.kill()

    def _read_line(self, limit_s: float) -> bytes:
        assert self._process.stdout is not None  # noqa: S101 - as above
        give_up_s = time.monotonic() + limit_s
        while b"\n" not in self._pending:
            left_s = max(0.0, give_up_s - time.monotonic())
            if not select.select([self._process.stdout], [], [], left_s)[0]:
                self.kill()
                raise PeerError(f"no answer in {limit_s:.0f} s")
            chunk = os.read(self._process.stdout.fileno(), _CHUNK_BYTES)
            if not chunk:
                raise self._ended()
            self._pending += chunk
        line, _, self._pending = self._pending.partition(b"\n")
        return line

    def _ended(self) -> PeerError:
        code = self._process.wait()
        tail = self._log.read_text(encoding="utf-8", errors="replace")[-_LOG_TAIL_CHARACTERS:]
        return PeerError(f"ended with {code}: {last_line(tail)}")
