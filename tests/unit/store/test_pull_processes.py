from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.hub import LoopbackHub
from support.models import WEIGHTS_BYTES

from satsuma.store.local import ModelStore

TINY = "@hf/acme/tiny"
WEIGHTS = "model.safetensors"
PROGRAM = "from satsuma.cli.models import models; models()"

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def models_dir(tmp_path: Path) -> Path:
    """The folder that the processes share."""
    return tmp_path / "models"


@pytest.fixture
def start(hub: LoopbackHub, tmp_path: Path, models_dir: Path) -> Start:
    """Start `satsuma models pull @hf/acme/tiny` as a process of its own."""

    def start(stderr: int = subprocess.PIPE, **variables: str) -> subprocess.Popen[str]:
        environment = {name: v for name, v in os.environ.items() if not name.startswith("HF_")}
        environment |= {"HF_ENDPOINT": hub.address, "HF_HOME": str(tmp_path / "hf_home")}
        return subprocess.Popen(
            [sys.executable, "-c", PROGRAM, "pull", TINY, "--models-dir", str(models_dir)],
            env=environment | variables,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )

    return start


def wait_for(condition: Callable[[], object]) -> None:
    """Wait until a condition holds, for ten seconds at most."""
    deadline_s = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def partial_bytes(tmp_path: Path) -> int:
    """Count what has arrived of the weights."""
    try:
        partials = (tmp_path / "hf_home").rglob("*.incomplete")
        return max((path.stat().st_size for path in partials), default=0)
    except FileNotFoundError:  # what the process just deleted; the caller asks again
        return 0


def test_environment_says_where_from_and_where_to(
    start: Start, tmp_path: Path, models_dir: Path
) -> None:
    """HF_ENDPOINT and HF_HOME are huggingface_hub's own; one line says what was done."""
    with start() as pulling:
        output, errors = pulling.communicate()
    assert errors == ""
    assert re.fullmatch(rf"pulled {TINY} \(0.3 MB\) in \d+ s\n", output)
    weights = ModelStore(models_dir).resolve(TINY).folder / WEIGHTS
    assert (tmp_path / "hf_home" / "hub" / "models--acme--tiny") in weights.resolve().parents


def test_terminal_sees_a_bar(start: Start, hub: LoopbackHub) -> None:
    """A person watches the download on stderr; a log file does not."""
    hub.break_file(WEIGHTS, delay_s=0.15)
    terminal, end = pty.openpty()
    termios.tcsetwinsize(end, (24, 80))
    with start(stderr=end) as pulling:
        output, _ = pulling.communicate()
    os.close(end)
    assert re.search(rb"acme/tiny: +[1-9]\d%", os.read(terminal, 65536))
    os.close(terminal)
    assert output.startswith("pulled ")


def test_two_at_once_fetch_once(start: Start, hub: LoopbackHub) -> None:
    """The second waits, says so, and finds the model there."""
    gate = threading.Event()
    hub.break_file(WEIGHTS, gate=gate)
    with start() as first:
        wait_for(lambda: hub.count("HEAD", WEIGHTS))
        with start() as second:
            assert second.stderr is not None
            said = second.stderr.readline()
            gate.set()
            answers = [first.communicate(), second.communicate()]
    assert [first.returncode, second.returncode] == [0, 0]
    assert hub.sent_bytes(WEIGHTS) == WEIGHTS_BYTES
    assert "is here already" in answers[1][0]
    assert f"another satsuma is pulling {TINY}; waiting" in said


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_killed_pull_is_resumed(
    start: Start, hub: LoopbackHub, tmp_path: Path, models_dir: Path, sent: signal.Signals
) -> None:
    """No folder appears; the next pull fetches the rest only, and is not held up by a lock."""
    gate = threading.Event()
    hub.break_file(WEIGHTS, gate=gate, gate_after_bytes=131072)
    with start() as killed:
        wait_for(lambda: partial_bytes(tmp_path) >= 65536)
        killed.send_signal(sent)
        _, errors = killed.communicate()
        gate.set()
    assert killed.returncode != 0
    assert errors.strip() in {"", "Aborted!"}
    assert not ModelStore(models_dir).folder_of(TINY).exists()
    hub.mend()
    with start() as again:
        again.communicate()
    asked = hub.seen("GET", WEIGHTS)[-1]
    assert asked.range is not None
    assert asked.sent_bytes <= WEIGHTS_BYTES - 65536
    assert ModelStore(models_dir).verify(TINY)


def test_offline_mode_is_named(start: Start, hub: LoopbackHub, models_dir: Path) -> None:
    """HF_HUB_OFFLINE forbids asking; the message says so."""
    with start(HF_HUB_OFFLINE="1") as pulling:
        _, errors = pulling.communicate()
    assert "HubUnreachableError" in errors
    assert "HF_HUB_OFFLINE forbids" in errors
    assert hub.requests == []
    assert not ModelStore(models_dir).folder_of(TINY).exists()


def test_offline_mode_does_not_disturb_an_installed_model(start: Start) -> None:
    """What is here is checked without the hub."""
    with start() as pulling:
        pulling.communicate()
    with start(HF_HUB_OFFLINE="1") as pulling:
        output, _ = pulling.communicate()
    assert "is here already, all as published" in output


def test_token_is_sent(start: Start, hub: LoopbackHub) -> None:
    """HF_TOKEN opens what is gated."""
    with start(HF_TOKEN="hf_secret") as pulling:
        pulling.communicate()
    assert {request.authorization for request in hub.requests} == {"Bearer hf_secret"}


def test_a_token_that_cannot_be_one_is_named(start: Start) -> None:
    """A typographic character that came along with a copied token is no reason for a traceback."""
    with start(HF_TOKEN="hf_ü") as pulling:
        _, errors = pulling.communicate()
    assert pulling.returncode != 0
    assert "HF_TOKEN has 'ü'" in errors


def test_a_cache_that_is_a_file_is_named(start: Start, tmp_path: Path) -> None:
    """The message names the variable, instead of blaming the hub."""
    (tmp_path / "file").touch()
    with start(HF_HOME=str(tmp_path / "file")) as pulling:
        _, errors = pulling.communicate()
    assert "See HF_HOME" in errors
