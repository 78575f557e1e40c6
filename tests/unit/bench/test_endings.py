"""How a benchmark ends that is told to: as on Ctrl-C, and without leaving its server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from satsuma.bench.contenders import ensure_model
from satsuma.bench.endings import ending_on_sigterm
from satsuma.bench.random_model import ModelShape

TINY = ModelShape("tiny", 16, 1, 2, 32)

MEASURE = """
import sys, time
from pathlib import Path
from satsuma.bench.endings import ending_on_sigterm
from satsuma.bench.http_load import running_server

with ending_on_sigterm(), running_server("@local/tiny-random", Path(sys.argv[1]), 1) as server:
    print(server.process_id, flush=True)
    time.sleep(1000)
"""


def test_sigterm_leaves_no_server(tmp_path: Path) -> None:
    """It is stopped before the benchmark ends, with a shell's code for that signal."""
    ensure_model(tmp_path, TINY)
    process = subprocess.Popen(
        [sys.executable, "-c", MEASURE, str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    server = int(process.stdout.readline())
    os.kill(server, 0)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 143, errors
    assert "Terminated." in errors
    with pytest.raises(ProcessLookupError):
        os.kill(server, 0)


def test_who_makes_something_of_an_interrupt_ends_with_the_signal_s_code() -> None:
    """A benchmark that reports what it has until then does so, and a second signal waits."""
    reported = []

    def measure() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except KeyboardInterrupt:
            os.kill(os.getpid(), signal.SIGTERM)
            reported.append("until then")

    with pytest.raises(SystemExit) as ended, ending_on_sigterm():
        measure()
    assert ended.value.code == 143
    assert reported == ["until then"]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_other_ends_are_left_alone() -> None:
    """Ctrl-C stays Ctrl-C, and an error an error."""
    with pytest.raises(KeyboardInterrupt), ending_on_sigterm():
        raise KeyboardInterrupt
    with pytest.raises(ValueError, match="mine"), ending_on_sigterm():
        raise ValueError("mine")
