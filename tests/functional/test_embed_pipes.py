"""`satsuma embed` in a pipeline: standard input and output, and mistakes that are explained."""

from __future__ import annotations

import gzip
import io
import json
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from support.files import Command, random_texts, wait_for_parts, write_tiny_model
from support.program import environment

from satsuma.errors import SatsumaError
from satsuma.types import FloatArray

TEXTS = random_texts(50)
LINES = "\n".join(TEXTS).encode()


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Command:
    """The command with a tiny model, and windows that TEXTS fill several times."""
    folder = tmp_path_factory.mktemp("pipes")
    usual = ("--model", write_tiny_model(folder / "models"))
    models = ("--models-dir", str(folder / "models"))
    return Command(environment(folder), (*usual, *models), window_texts=8)


@pytest.fixture(scope="module")
def expected(command: Command, tmp_path_factory: pytest.TempPathFactory) -> FloatArray:
    """What comes of TEXTS in files."""
    folder = tmp_path_factory.mktemp("expected")
    (folder / "in.txt").write_bytes(LINES)
    command.report(str(folder / "in.txt"), str(folder / "out.npy"))
    vectors: FloatArray = np.load(folder / "out.npy")  # (50, 64)
    return vectors


def check(vectors: Any, expected: FloatArray) -> None:
    """Compare bit for bit."""
    np.testing.assert_array_equal(np.array(vectors, np.float32), expected)


@pytest.mark.parametrize("content", [LINES, gzip.compress(LINES)], ids=["plain", "gzip"])
def test_lines_in_lines_out(command: Command, expected: FloatArray, content: bytes) -> None:
    """The report goes to standard error; a pipe's compression is told by its first bytes."""
    result = command.run("-", "-", "--format", "text", "--to", "jsonl", stdin=content)
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert json.loads(result.stderr.splitlines()[-1])["vectors"] == 50
    assert [row["id"] for row in rows] == list(range(1, 51))
    check([row["vector"] for row in rows], expected)


def test_arrow_is_what_standard_output_gets(command: Command, expected: FloatArray) -> None:
    """As a stream, with what was kept and how it was made."""
    lines = "\n".join(json.dumps({"text": text, "k": [1]}) for text in TEXTS).encode()
    result = command.run("-", "-", "--format", "jsonl", "--keep", "k", stdin=lines)
    table = pa.ipc.open_stream(result.stdout).read_all()
    assert table.schema.names == ["id", "k", "vector"]
    assert table["k"].to_pylist() == ["[1]"] * 50
    assert json.loads(table.schema.metadata[b"satsuma"])["model"] == "@local/tiny"
    check(table["vector"].to_pylist(), expected)


def test_npy_and_parquet_through_pipes(command: Command, expected: FloatArray) -> None:
    """Both need all of it: npy begins with its length, Parquet ends with its directory."""
    buffer = io.BytesIO()
    parquet.write_table(pa.table({"text": TEXTS}), buffer)
    content = buffer.getvalue()
    result = command.run("-", "-", "--format", "parquet", "--to", "npy", stdin=content)
    check(np.load(io.BytesIO(result.stdout)), expected)
    result = command.run("-", "-", "--format", "parquet", "--to", "parquet", stdin=content)
    column = parquet.read_table(io.BytesIO(result.stdout))["vector"]
    check(column.to_pylist(), expected)


def test_bad_rows_of_a_pipe_have_a_file_if_one_is_named(command: Command, tmp_path: Path) -> None:
    """Else they are counted."""
    errors = tmp_path / "errors.jsonl"
    wanted = ("-", "-", "--format", "text", "--to", "jsonl", "--errors", str(errors))
    result = command.run(*wanted, stdin=b"a\n\nb")
    assert json.loads(result.stderr.splitlines()[-1])["errors"] == str(errors)
    assert json.loads(errors.read_bytes()) == {"file": "-", "row": 2, "reason": "'text' is empty"}


def test_a_reader_that_leaves_ends_it_quietly(command: Command) -> None:
    """As `head` does; click makes that 1."""
    wanted = ("-", "-", "--format", "text", "--to", "jsonl")
    with command.start(*wanted, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(LINES)
        process.stdin.close()
        process.stdin = None
        process.stdout.readline()
        process.stdout.close()
        process.stdout = None
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (1, b"")


def test_a_full_device_is_explained(command: Command, tmp_path: Path) -> None:
    """A device is written as it is, and stays what it is."""
    (tmp_path / "in.txt").write_bytes(LINES)
    result = command.run(str(tmp_path / "in.txt"), "/dev/full", "--to", "jsonl")
    assert result.returncode == 1
    assert b"There is no room left" in result.stderr
    assert b"nothing of this run is kept" in result.stderr
    assert not Path("/dev/full.satsuma").exists()


def test_a_pipe_is_not_taken_up_again(command: Command, tmp_path: Path) -> None:
    """What it held is gone, so that the job begins anew."""
    output = tmp_path / "out.npy"
    wanted = ("-", str(output), "--format", "text")
    with command.start(*wanted, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(b"".join(b"%d\n" % number for number in range(20_000)))
        process.stdin.flush()
        wait_for_parts(process, output, 1)
        process.kill()
        process.communicate()
    told = json.loads(command.run(*wanted, stdin=LINES).stdout)
    assert (told["rows_before"], told["rows"]) == (0, 50)
    assert len(np.load(output)) == 50


def test_ctrl_c_while_a_pipe_is_read(command: Command) -> None:
    """It ends at once although no more comes, with 130."""
    wanted = ("-", "-", "--format", "text", "--to", "jsonl")
    with command.start(*wanted, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"text\n" * 2000)
        process.stdin.flush()
        assert process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)
    assert process.returncode == 130


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("none.csv", "o.npy"), "none.csv: there is no such file or folder"),
        (("in.csv", "o.doc"), "no format goes by the ending .doc"),
        (("in.csv", "no/o.npy"), "there is no folder"),
        (("in.csv", "in.csv", "--to", "jsonl", "--overwrite"), "in.csv is the input"),
        (("in.csv", "."), "no format goes by the ending"),
        (("in.csv", "o.npy", "--column", "x"), "has no column 'x'; it has 'text', 'id'"),
        (("in.csv", "o.npy", "--where", "x = 1"), "has no column 'x'"),
        (("in.csv", "o.npy", "--where", "x"), "COLUMN OP VALUE"),
        (("in.csv", "o.npy", "--overlap", "5"), "--overlap goes with --chunk"),
        (("in.csv", "o.npy", "--dimensions", "32"), "leave `dimensions` out"),
        (("-", "o.npy"), "Say what standard input holds: --format parquet|csv|tsv|jsonl|text"),
        (("s4://x/in.csv", "o.npy"), "cannot be opened"),
    ],
)
def test_mistakes_are_explained(
    command: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    message: str,
) -> None:
    """Before anything is embedded, with nothing left behind."""
    (tmp_path / "in.csv").write_text("text,id\na,1\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SatsumaError, match=re.escape(message)):
        command.report(*arguments)
    assert [one.name for one in tmp_path.iterdir()] == ["in.csv"]


def test_a_mistake_is_one_line(command: Command, tmp_path: Path) -> None:
    """And exit code 1."""
    result = command.run(str(tmp_path / "none.csv"), "o.npy")
    assert result.returncode == 1
    assert result.stderr.decode().splitlines() == [
        f"Error: {tmp_path}/none.csv: there is no such file or folder."
    ]
