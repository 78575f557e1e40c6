"""The core install: everything but the server and whole files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.program import environment

ALL_MINILM = "@hf/sentence-transformers/all-minilm-l6-v2"
EXTRAS = ("starlette", "uvicorn", "uvloop", "httptools", "sqlalchemy", "pyarrow", "torch")
BLOCK = """
import sys
for name in {names}:
    sys.modules[name] = None  # as if it were not installed
from satsuma.cli.main import main
main()
"""


def satsuma_without_extras(
    *arguments: str, home: Path, names: tuple[str, ...] = EXTRAS
) -> subprocess.CompletedProcess[str]:
    """Run a command as if these packages were not installed."""
    return subprocess.run(
        [sys.executable, "-c", BLOCK.format(names=names), *arguments],
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (("serve",), "server"),
        (("jobs", "list"), "server"),
        (("embed", "a.csv", "a.npy"), "files"),
        (("run", ALL_MINILM, "x", "--device", "cuda"), "gpu"),
        (("run", ALL_MINILM, "x", "--engine", "torch"), "gpu"),
    ],
)
def test_what_to_install_is_said(tmp_path: Path, arguments: tuple[str, ...], extra: str) -> None:
    """In one line."""
    result = satsuma_without_extras(*arguments, home=tmp_path)
    assert result.returncode == 1
    assert f"pip install 'satsuma[{extra}]'" in result.stderr
    assert "Traceback" not in result.stderr


def test_traces_are_an_extra_of_their_own(tmp_path: Path) -> None:
    """A server does without, and says what is missing where traces are asked for."""
    arguments = ("serve", "--port", "0", "--traces", "--model", ALL_MINILM)
    result = satsuma_without_extras(*arguments, home=tmp_path, names=("opentelemetry",))
    assert result.returncode == 1
    assert "pip install 'satsuma[otel]'" in result.stderr
    assert "Traceback" not in result.stderr


def test_the_rest_works(tmp_path: Path) -> None:
    """Running a model and listing models."""
    run = satsuma_without_extras("run", ALL_MINILM, "hello world", home=tmp_path)
    assert run.stdout.startswith('{"shape":[1,384]')
    assert ALL_MINILM in satsuma_without_extras("models", "list", home=tmp_path).stdout
