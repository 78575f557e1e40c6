"""`satsuma run`, `satsuma doctor` and the library, in processes of their own."""

from __future__ import annotations

import gc
import io
import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from support.program import environment, satsuma

from satsuma import Ai
from satsuma.errors import ConfigurationError, InvalidInputError, ModelNotFoundError

ALL_MINILM = "@hf/sentence-transformers/all-minilm-l6-v2"
HELLO_WORLD = [-0.03447729, 0.03102315, 0.00673496]


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment with an empty home."""
    return environment(tmp_path_factory.mktemp("home"))


def test_run_prints_the_result_object(env: dict[str, str]) -> None:
    """As the API answers, without the envelope."""
    result = satsuma("run", ALL_MINILM, "hello world", "another", env=env)
    answer = json.loads(result.stdout)
    assert (answer["shape"], answer["pooling"]) == ([2, 384], "mean")
    np.testing.assert_allclose(answer["data"][0][:3], HELLO_WORLD, atol=1e-6)


def test_run_reads_lines(env: dict[str, str]) -> None:
    """One text a line, one vector a line."""
    result = satsuma("run", ALL_MINILM, "--format", "jsonl", env=env, stdin="hello world\nmore\n")
    vectors = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(vectors) == 2
    np.testing.assert_allclose(vectors[0][:3], HELLO_WORLD, atol=1e-6)


def test_run_writes_npy(env: dict[str, str], tmp_path: Path) -> None:
    """To a file, or through a pipe."""
    path = tmp_path / "vectors.npy"
    arguments = ("run", ALL_MINILM, "hello world", "--format", "npy")
    satsuma(*arguments, "--output", str(path), env=env)
    command = [sys.executable, "-m", "satsuma", *arguments]
    piped = subprocess.run(command, env=env, capture_output=True, check=True).stdout
    np.testing.assert_array_equal(np.load(path), np.load(io.BytesIO(piped)))


@pytest.mark.parametrize(
    ("arguments", "stdin", "code", "message"),
    [
        (("run", "nonsense", "x"), None, 1, "'nonsense' is not a model id"),
        (("run", "@cf/acme/none", "x"), None, 1, "no model @cf/acme/none"),
        (("run", "@cf/baai/bge-base-en-v1.5", "x"), None, 1, "satsuma models pull"),
        (("run", ALL_MINILM), "", 2, "Standard input is empty"),
        (("run", ALL_MINILM), "a\n\nb\n", 2, "Line 2 of standard input is empty"),
        (("run", ALL_MINILM, "x", "--threads", "-3"), None, 1, "threads must be 0 or more"),
        (("fly",), None, 2, "No such command 'fly'"),
    ],
)
def test_mistakes_are_explained(
    env: dict[str, str], arguments: tuple[str, ...], stdin: str | None, code: int, message: str
) -> None:
    """In one line, with the exit code, and no traceback."""
    result = satsuma(*arguments, env=env, stdin=stdin)
    assert result.returncode == code
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_doctor_says_what_to_do(env: dict[str, str]) -> None:
    """The unreachable hub and the missing weights are notes, not problems."""
    result = satsuma("doctor", "--port", "0", env=env)
    assert result.returncode == 0
    assert f"{ALL_MINILM} is ready" in result.stdout
    assert "satsuma models pull @cf/baai/bge-base-en-v1.5" in result.stdout
    assert "HF_ENDPOINT" in result.stdout


def test_doctor_counts_problems(env: dict[str, str], tmp_path: Path) -> None:
    """A damaged model folder is a problem, and the exit code says so."""
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_text("{")
    arguments = ("doctor", "--json", "--port", "0", "--models-dir", str(tmp_path))
    result = satsuma(*arguments, env=env)
    findings = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.returncode == 1
    assert any("@local/broken" in one["text"] for one in findings if one["verdict"] == "problem")


def test_doctor_tells_what_an_engine_cannot(env: dict[str, str]) -> None:
    """Rather than let the server say so at its start."""
    wanted = env | {"SATSUMA_ENGINE": "onnx", "SATSUMA_PRECISION": "int8"}
    result = satsuma("doctor", "--port", "0", env=wanted)
    assert result.returncode == 1
    assert "ONNX Runtime has no int8" in result.stdout


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--threads", "3"), "3 at once, with 1 thread each"),
        (("--threads", "3", "--lanes", "2"), "2 at once, with 1 to 2 threads each"),
        (("--threads", "4", "--lanes", "2"), "2 at once, with 2 threads each"),
    ],
)
def test_doctor_tells_the_lanes(env: dict[str, str], flags: tuple[str, ...], says: str) -> None:
    """As they are derived from the cores, or set."""
    result = satsuma("doctor", "--json", "--port", "0", *flags, env=env)
    findings = [json.loads(line) for line in result.stdout.splitlines()]
    (lanes,) = (one["text"] for one in findings if one["topic"] == "lanes")
    assert lanes.startswith(says)


def test_the_library_in_process(tmp_path: Path) -> None:
    """The Worker's call: same mapping, float32 array, threads welcome."""
    with Ai(models_dir=tmp_path, threads=2) as ai:
        answer = ai.run(ALL_MINILM, {"text": ["hello world"]})
        assert list(answer) == ["shape", "data", "pooling", "usage"]
        assert answer["data"].dtype == np.float32
        np.testing.assert_allclose(answer["data"][0][:3], HELLO_WORLD, atol=1e-6)
        rows: list[float] = []
        threads = [
            threading.Thread(
                target=lambda: rows.append(
                    ai.run(ALL_MINILM, {"text": "hello world"})["data"][0][0]
                )
            )
            for _ in range(16)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in threads)
        np.testing.assert_allclose(rows, HELLO_WORLD[0], atol=1e-6)
    ai.close()  # twice is harmless


def test_a_forgotten_ai_gives_its_threads_back(tmp_path: Path) -> None:
    """`Ai().run(...)` without close leaks nothing."""
    before = threading.active_count()
    Ai(models_dir=tmp_path).run(ALL_MINILM, {"text": "x"})
    gc.collect()
    end_s = time.monotonic() + 10
    while threading.active_count() > before:
        assert time.monotonic() < end_s
        time.sleep(0.01)


@pytest.mark.parametrize(
    "inputs", [{}, {"text": 5}, {"text": [5]}, {"text": []}, {"text": "a", "pooling": "max"}]
)
def test_the_library_refuses_bad_inputs(tmp_path: Path, inputs: dict[str, object]) -> None:
    """With InvalidInputError."""
    with Ai(models_dir=tmp_path) as ai, pytest.raises(InvalidInputError):
        ai.run(ALL_MINILM, inputs)


def test_the_library_refuses_unknown_models(tmp_path: Path) -> None:
    """With ModelNotFoundError."""
    with Ai(models_dir=tmp_path) as ai, pytest.raises(ModelNotFoundError):
        ai.run("@cf/acme/none", {"text": "x"})


def test_arguments_must_go_together() -> None:
    """A server's address and this process's settings exclude each other."""
    with pytest.raises(ConfigurationError):
        Ai(base_url="http://127.0.0.1:1", threads=2)
    with pytest.raises(ConfigurationError):
        Ai(token="x")
