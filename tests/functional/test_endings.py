"""Ends: of the interpreter, of an `Ai`, and of a server whose engine hangs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import requests
from support.program import environment

from satsuma import Ai
from satsuma.errors import ConfigurationError, ShuttingDownError

ALL_MINILM = "@hf/sentence-transformers/all-minilm-l6-v2"
LONG = {"text": ["word " * 250] * 200}  # seconds of work

LEAVE_BUSY = f"""
import threading, time
from satsuma import Ai
ai = Ai()
ai.run("{ALL_MINILM}", {{"text": "x"}})
long = {{"text": ["word " * 250] * 200}}
threading.Thread(target=ai.run, args=("{ALL_MINILM}", long), daemon=True).start()
time.sleep(0.5)
"""

SERVE_HANGING = """
import sys, time
from satsuma import assembly
from satsuma.cli.main import main

real_load = assembly.load_model

def load_hanging(*arguments):
    model = real_load(*arguments)
    encode, calls = model.encoder.encode, []
    def encode_once(*arguments):
        calls.append(1)
        if len(calls) > 2:  # the warm-up's
            time.sleep(1000)
        return encode(*arguments)
    model.encoder.encode = encode_once
    return model

assembly.load_model = load_hanging
main()
"""


def test_the_interpreter_may_end_with_a_call_in_flight(tmp_path: Path) -> None:
    """The engine's threads end first: no abort, no hang, exit code 0."""
    command = [sys.executable, "-X", "dev", "-c", LEAVE_BUSY]
    result = subprocess.run(
        command, env=environment(tmp_path), capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "terminate called" not in result.stderr


def test_nothing_is_sent_to_anybody(tmp_path: Path) -> None:
    """The runtime's telemetry is off: it leaves no device id in an empty home."""
    code = f'from satsuma import Ai; Ai().run("{ALL_MINILM}", {{"text": "x"}})'
    env = {key: value for key, value in environment(tmp_path).items() if key != "CI"}
    subprocess.run([sys.executable, "-c", code], env=env, check=True, timeout=60)
    assert not list(tmp_path.rglob("*Microsoft*"))


def close_during_a_call(ai: Ai, inputs: dict[str, Any], after_s: float) -> None:
    """Close while another thread waits for an answer; it must hear of it."""
    heard = threading.Event()

    def call() -> None:
        with pytest.raises(ShuttingDownError):
            ai.run(ALL_MINILM, inputs)
        heard.set()

    caller = threading.Thread(target=call)
    caller.start()
    time.sleep(after_s)
    ai.close()
    assert heard.wait(30)
    caller.join()


def test_close_ends_the_calls_in_flight(tmp_path: Path) -> None:
    """Their callers hear it, and so do those who come later."""
    ai = Ai(models_dir=tmp_path)
    ai.run(ALL_MINILM, {"text": "x"})
    close_during_a_call(ai, LONG, after_s=0.3)
    with pytest.raises(ShuttingDownError):
        ai.run(ALL_MINILM, {"text": "x"})


def test_close_while_a_model_loads(tmp_path: Path) -> None:
    """A call that waits for its model is ended as well."""
    close_during_a_call(Ai(models_dir=tmp_path), {"text": "x"}, after_s=0.05)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_is_told_to_make_its_own(tmp_path: Path) -> None:
    """Instead of waiting for threads that stayed with the parent."""
    with Ai(models_dir=tmp_path) as ai:
        ai.run(ALL_MINILM, {"text": "x"})
        child = os.fork()
        if child == 0:
            try:
                ai.run(ALL_MINILM, {"text": "x"})
            except ConfigurationError:
                os._exit(0)
            os._exit(1)
        assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_hanging_engine_does_not_keep_a_stopped_server_alive(
    tmp_path: Path, processes: str
) -> None:
    """SIGTERM: the drain, a few seconds more, and the process ends with 1."""
    arguments = ["serve", "--port", "0", "--model", ALL_MINILM, "--drain-s", "1", "--threads", "1"]
    arguments += ["--http-processes", processes]
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE_HANGING, *arguments],
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    with process.stdout as lines:
        first = next(line for line in lines if line.startswith("Listening"))
        next(line for line in lines if line.startswith("Ready"))
        url = first.split()[2].rstrip(",") + f"/client/v4/accounts/me/ai/run/{ALL_MINILM}"
        replies: list[int] = []

        def call() -> None:
            replies.append(requests.post(url, json={"text": "x"}, timeout=60).status_code)

        client = threading.Thread(target=call)
        client.start()
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 1
        client.join()
    assert replies == [503]
