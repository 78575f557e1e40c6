"""How docs/clients.json is written, and what is found out when it is not true."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from clients.record import ClientRecord

ROW = {"client": "thing", "language": "Python", "version": "1.0", "address": "`base_url=`"}
OTHER = ROW | {"client": "other"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file that says: thing was called in two ways, other in one."""
    path = tmp_path / "clients.json"
    record = ClientRecord(is_recording=True, file=path)
    record(**ROW, calls=["b"])
    record(**OTHER, calls=["x"], errors=["y"])
    record(**ROW, calls=["a"], remarks=["z"])
    record.finish()
    return path


def test_rows_are_sorted_and_joined(file: Path) -> None:
    """Tests run in any order, and the file is always the same."""
    other, thing = json.loads(file.read_text())
    assert other == OTHER | {"calls": ["x"], "errors": ["y"], "remarks": []}
    assert thing == ROW | {"calls": ["a", "b"], "errors": [], "remarks": ["z"]}


@pytest.mark.parametrize(
    ("row", "calls"), [(ROW, ["c"]), (ROW | {"version": "1.1"}, ["a"]), (ROW, ["a", "c"])], ids=str
)
def test_what_the_file_does_not_say_fails_the_test(
    file: Path, row: dict[str, str], calls: list[str]
) -> None:
    """A new call, or another version; the message says what to run."""
    record = ClientRecord(file=file)
    record(**ROW, calls=["a"])
    with pytest.raises(AssertionError, match="make clients"):
        record(**row, calls=calls)


def test_what_nobody_saw_fails_a_whole_run_alone(file: Path) -> None:
    """A row or a call that has no test any more; part of a run cannot tell."""
    record = ClientRecord(file=file)
    record(**ROW, calls=["a", "b"], remarks=["z"])
    with pytest.raises(AssertionError, match="make clients"):
        record.finish()
    record.is_partial = True
    record.finish()


def test_a_run_that_lacks_something_writes_nothing(file: Path) -> None:
    """What failed or was skipped must not vanish from the table."""
    before = file.read_text()
    record = ClientRecord(is_recording=True, file=file, is_partial=True)
    record(**ROW, calls=["a"])
    with pytest.raises(AssertionError, match="left alone"):
        record.finish()
    assert file.read_text() == before
