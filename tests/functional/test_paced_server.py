"""The server that `make bench-front` measures: it always answers, and ends with its client."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import front_rates
import paced_server
import pytest
from support.engines import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it reads Linux's /proc")


def test_a_thread_that_has_just_ended_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads come and go while they are asked about."""
    gone = threading.Thread(target=int, name="gone-1")
    gone.start()
    gone.join()
    task = Path(f"/proc/self/task/{gone.native_id}")
    while task.exists():
        pass
    monkeypatch.setattr(threading, "enumerate", lambda: [gone, threading.current_thread()])
    seconds = paced_server.thread_seconds()
    assert seconds["gone"] == 0.0
    assert seconds["MainThread"] > 0.0


@contextmanager
def started(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A paced server, as `front_rates.py` starts it."""
    command = [sys.executable, str(ROOT / "scripts" / "paced_server.py"), "200000", "serve"]
    command += ["--port", "0", "--model", front_rates.MODEL, "--data-dir", str(folder)]
    with subprocess.Popen(
        [*command, "--skip-self-test"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"HOME": str(folder)},
    ) as process:
        too_late = threading.Timer(60, process.kill)
        too_late.start()
        try:
            yield process
        finally:
            process.kill()
            too_late.cancel()


@pytest.mark.usefixtures("all_minilm_files")
def test_it_ends_with_whoever_started_it(tmp_path: Path) -> None:
    """A killed measurement leaves no server behind: its pipe closes."""
    with started(tmp_path) as process:
        server = front_rates.Server(process)
        assert server.thread_seconds()["MainThread"] > 0.0
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(30) == 0
