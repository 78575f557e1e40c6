"""What a worker answers, and how the benchmark talks to its process."""

from __future__ import annotations

import itertools
import os
import select
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from satsuma.bench.peers.errors import PeerError
from satsuma.bench.peers.memory import read_peak_bytes, reset_peak
from satsuma.bench.peers.protocol import Embedder, Options, Session, Vectors, in_batches, pool
from satsuma.bench.peers.worker_process import WorkerProcess

OPTIONS = {
    "folder": "somewhere",
    "threads": 1,
    "precision": "fp32",
    "pooling": "cls",
    "max_tokens": 8,
}


class Lengths(Embedder):
    """Gives (n, 1) arrays of the texts' lengths, and remembers what it was asked."""

    packages = ("numpy",)

    def __init__(self, options: Options) -> None:
        """Remember the options."""
        self.options = options
        self.asked: list[Sequence[str]] = []
        self.is_closed = False

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Count characters."""
        self.asked.append(texts)
        return np.array([[len(text)] for text in texts], dtype=np.float32)

    def close(self) -> None:
        """Remember that too."""
        self.is_closed = True


@pytest.fixture
def loaded() -> list[Lengths]:
    """Hold the embedder that the session loads."""
    return []


@pytest.fixture
def session(loaded: list[Lengths]) -> Session:
    """Start a session whose clock ticks a second at each look."""

    def load(options: Options) -> Lengths:
        loaded.append(Lengths(options))
        return loaded[0]

    ticks = itertools.count()
    session = Session(load, clock=lambda: float(next(ticks)))
    session.answer({"do": "load", "options": OPTIONS})
    return session


def test_load_tells_the_versions(session: Session, loaded: list[Lengths]) -> None:
    """The answer names what was loaded, and the options came through."""
    answer = session.answer({"do": "load", "options": OPTIONS})
    assert answer == {"versions": {"numpy": np.__version__}}
    assert loaded[0].options == Options("somewhere", 1, "fp32", "cls", 8)


def test_vectors_are_of_the_first_variant(session: Session, tmp_path: Path) -> None:
    """They lie in a file, a row a text."""
    session.answer({"do": "texts", "variants": [["a", "bcd"], ["e", "f"]]})
    answer = session.answer({"do": "vectors", "path": str(tmp_path / "v.npy")})
    assert answer == {"seconds": 1.0}
    assert np.load(tmp_path / "v.npy").tolist() == [[1.0], [3.0]]


def test_sample_repeats_until_enough_seconds_and_variants_take_turns(
    session: Session, loaded: list[Lengths]
) -> None:
    """Each run takes a second by the clock, and a second passes between them."""
    session.answer({"do": "texts", "variants": [["a"], ["b"]]})
    assert session.answer({"do": "sample", "seconds": 5}) == {"run_seconds": [1.0, 1.0, 1.0]}
    assert session.answer({"do": "sample", "seconds": 0}) == {"run_seconds": [1.0]}
    assert loaded[0].asked == [["a"], ["b"], ["a"], ["b"]]


def test_an_error_is_an_answer(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    """The worker lives on, and its log has the traceback."""
    assert session.answer({"do": "dance"}) == {"error": "KeyError: 'dance'"}
    assert session.answer({"do": "memory"})["peak_bytes"] > 0
    assert "Traceback" in capsys.readouterr().err


def test_nothing_is_embedded_before_load(capsys: pytest.CaptureFixture[str]) -> None:
    """It says what is missing."""
    answer = Session(Lengths).answer({"do": "sample", "seconds": 1})
    assert "error" in answer
    capsys.readouterr()


def test_closing_ends_the_library(session: Session, loaded: list[Lengths]) -> None:
    """A library with processes of its own can stop them."""
    session.close()
    assert loaded[0].is_closed


def test_pooling_leaves_padding_out() -> None:
    """The mean is over real tokens, `cls` is the first, and both have length 1."""
    hidden = np.array([[[3.0, 4.0], [1.0, 0.0], [9.0, 9.0]]])
    mask = np.array([[1, 1, 0]])
    np.testing.assert_allclose(pool(hidden, mask, "cls"), [[0.6, 0.8]])
    np.testing.assert_allclose(pool(hidden, mask, "mean"), [[2**-0.5, 2**-0.5]], rtol=1e-6)


def test_batches_keep_the_order() -> None:
    """The last one has what is left."""
    assert list(in_batches("abcde", 2)) == ["ab", "cd", "e"]


def test_peak_is_read_in_bytes_and_can_begin_anew(tmp_path: Path) -> None:
    """Linux tells kilobytes; `5` resets the peak."""
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "status").write_text("Name:\tx\nVmHWM:\t  12 kB\n")
    assert read_peak_bytes(7, proc=tmp_path) == 12 * 1024
    reset_peak(7, proc=tmp_path)
    assert (tmp_path / "7" / "clear_refs").read_text() == "5"


def test_own_peak_is_known_without_proc(tmp_path: Path) -> None:
    """Other systems tell a process's own peak, and nobody else's."""
    assert (read_peak_bytes(os.getpid(), proc=tmp_path) or 0) > 1_000_000
    assert read_peak_bytes(1, proc=tmp_path) is None


def python(program: str, log: Path) -> WorkerProcess:
    """Run a small program as a worker."""
    return WorkerProcess([sys.executable, "-S", "-c", program], {}, log)


ECHO = "import sys\nfor line in sys.stdin: print(line, end='', flush=True)"


def test_a_process_answers(tmp_path: Path) -> None:
    """A line for a line, and it ends with the block."""
    command: dict[str, Any] = {"do": "x", "text": "ä\n" * 50_000}
    with python(ECHO, tmp_path / "log") as worker:
        assert worker.ask(command, limit_s=10) == command
        assert worker.is_alive
    assert not worker.is_alive


def test_an_error_answer_raises_and_the_process_lives(tmp_path: Path) -> None:
    """Another workload may go well."""
    with python(ECHO, tmp_path / "log") as worker:
        with pytest.raises(PeerError, match=r"^no such file$"):
            worker.ask({"error": "Traceback\nno such file"}, limit_s=10)
        assert worker.is_alive


def test_a_silent_process_is_ended(tmp_path: Path) -> None:
    """Past its limit it is killed, so that the others have the machine for themselves."""
    with python("import time; time.sleep(60)", tmp_path / "log") as worker:
        with pytest.raises(PeerError, match="no answer in 0 s"):
            worker.ask({}, limit_s=0.05)
        assert not worker.is_alive


def test_a_process_that_ends_shows_its_last_words(tmp_path: Path) -> None:
    """The end of its log is the reason."""
    with (
        python("import sys; sys.exit('out of luck')", tmp_path / "log") as worker,
        pytest.raises(PeerError, match="ended with 1: out of luck"),
    ):
        worker.ask({}, limit_s=10)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
def test_an_interrupt_ends_the_process_and_its_children(tmp_path: Path) -> None:
    """Ctrl-C leaves nothing behind, not even what the worker started."""
    program = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(60)'])\n"
        "print('{\"pid\": %d}' % child.pid, flush=True)\n"
        "child.wait()"
    )
    with suppress(KeyboardInterrupt), python(program, tmp_path / "log") as worker:
        child = worker.ask({}, limit_s=10)["pid"]
        ending = os.pidfd_open(child)
        assert not has_ended(ending, within_s=0)
        raise KeyboardInterrupt
    assert has_ended(ending, within_s=30)
    os.close(ending)


def has_ended(process: int, *, within_s: float) -> bool:
    """Wait for the end of a process, by its descriptor."""
    return bool(select.select([process], [], [], within_s)[0])
