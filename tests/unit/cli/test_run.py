"""`satsuma run`'s inputs and outputs, without a model."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any, Self

import numpy as np
import orjson
import pytest
from click.testing import CliRunner, Result

from satsuma.cli import run as module


class InTestAi:
    """Answers a vector a text; `calls` has what was asked."""

    calls: list[Any]

    def __init__(self, **settings: Any) -> None:
        """Take any settings."""

    def __enter__(self) -> Self:
        """Open nothing."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close nothing."""

    def run(self, model: str, inputs: dict[str, Any]) -> dict[str, Any]:
        """Answer zeros."""
        self.calls.append((model, inputs))
        return {"data": np.zeros((len(inputs["text"]), 2), dtype=np.float32)}


@pytest.fixture(autouse=True)
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the model was asked for."""
    asked: list[Any] = []
    monkeypatch.setattr(InTestAi, "calls", asked, raising=False)
    monkeypatch.setattr(module, "Ai", InTestAi)
    return asked


def run(*arguments: str, stdin: bytes | None = None) -> Result:
    """Run the command."""
    return CliRunner().invoke(module.run, ["m", *arguments], input=stdin)


@pytest.mark.parametrize(
    ("arguments", "stdin", "message"),
    [
        (("good", "bad \udcff"), None, "Text 2 of the arguments is not valid UTF-8."),
        ((), b"good\nbad \xff\n", "Line 2 of standard input is not valid UTF-8."),
        ((), b"good\r\n\r\n", "Line 2 of standard input is empty"),
    ],
)
def test_what_is_no_text_is_named(
    calls: list[Any], arguments: tuple[str, ...], stdin: bytes | None, message: str
) -> None:
    """A usage error that says which text, before anything is embedded."""
    result = run(*arguments, stdin=stdin)
    assert (result.exit_code, calls) == (2, [])
    assert message in result.stderr


def test_lines_are_utf_8(calls: list[Any]) -> None:
    """Whatever the locale, with either end of line."""
    assert run(stdin="één\r\ntwo\n\u2028 three".encode()).exit_code == 0
    assert calls == [("m", {"text": ["één", "two", "\u2028 three"]})]


def test_a_folder_that_is_not_there_is_noticed_first(calls: list[Any], tmp_path: Path) -> None:
    """One line, exit code 1, and no work done for nothing."""
    result = run("x", "--output", str(tmp_path / "gone" / "x"))
    assert (result.exit_code, calls) == (1, [])
    assert f"there is no folder {tmp_path / 'gone'}" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_folder_that_cannot_be_written_is_noticed_first(
    calls: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same; root may write anywhere, so the answer is faked."""
    monkeypatch.setattr(os, "access", lambda *_: False)
    result = run("x", "--output", str(tmp_path / "x"))
    assert (result.exit_code, calls) == (1, [])
    assert f"{tmp_path} is not writable" in result.stderr


def test_the_file_is_replaced_whole(tmp_path: Path) -> None:
    """Through a link, with the old file's mode, and nothing left beside it."""
    path, link = tmp_path / "x", tmp_path / "link"
    path.write_text("old")
    path.chmod(0o640)
    link.symlink_to(path)
    assert run("x", "--output", str(link), "--format", "jsonl").exit_code == 0
    assert orjson.loads(path.read_bytes()) == [0.0, 0.0]
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert link.is_symlink()
    assert {one.name for one in tmp_path.iterdir()} >= {"x", "link"}
    assert not list(tmp_path.glob(".satsuma-*"))


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk costs nothing that was there."""
    path = tmp_path / "x"
    path.write_text("old")

    def fail(_: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device", str(content))

    monkeypatch.setattr(Path, "write_bytes", fail)
    assert isinstance(run("x", "--output", str(path)).exception, OSError)
    assert path.read_text() == "old"
    assert not list(tmp_path.glob(".satsuma-*"))


def test_a_device_is_not_replaced() -> None:
    """/dev/null stays what it is."""
    assert run("x", "--output", os.devnull).exit_code == 0
    assert not Path(os.devnull).is_file()
