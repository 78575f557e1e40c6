"""Files, folders and globs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from satsuma.bulk.errors import InputError
from satsuma.bulk.formats import InputFormat
from satsuma.bulk.inputs import find_inputs
from satsuma.bulk.locations import locate


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of folders, with what does not count among them."""
    for name in ("b.csv", "a.csv", "in/c.csv", "notes.md", "_SUCCESS", ".b.csv", "_tmp/d.csv"):
        path = tmp_path / "top" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("text\n")
    return tmp_path / "top"


def labels(name: object, wanted: InputFormat | None = None) -> list[str]:
    """What was found, in its order."""
    return [one.label for one in find_inputs(str(name), wanted)]


def test_a_folder_is_read_in_the_order_of_its_paths(folder: Path) -> None:
    """Folders in it too, but not what is hidden or of no known format."""
    assert labels(folder) == ["a.csv", "b.csv", "in/c.csv"]
    assert labels(f"{folder}/") == ["a.csv", "b.csv", "in/c.csv"]


def test_a_named_format_takes_every_file(folder: Path) -> None:
    """Whatever its ending."""
    assert labels(folder, InputFormat.LINES) == ["a.csv", "b.csv", "in/c.csv", "notes.md"]


def test_a_glob_chooses(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A star stays within a folder, as in a shell."""
    assert labels(folder / "*.csv") == [".b.csv", "a.csv", "b.csv"]
    assert labels(folder / "[ab].csv") == ["a.csv", "b.csv"]
    assert labels(folder / "*" / "?.csv") == ["_tmp/d.csv", "in/c.csv"]
    monkeypatch.chdir(folder)
    assert labels("in/*.csv") == ["c.csv"]
    assert labels("?.csv") == ["a.csv", "b.csv"]


def test_a_file_may_have_a_glob_for_a_name(tmp_path: Path) -> None:
    """The file wins."""
    (tmp_path / "a[1].csv").write_text("text\n")
    assert labels(tmp_path / "a[1].csv") == ["a[1].csv"]


def test_what_is_not_there_is_said(folder: Path) -> None:
    """A file, a folder's content, a file system."""
    with pytest.raises(InputError, match="there is no such file or folder"):
        labels(folder / "none.csv")
    with pytest.raises(InputError, match="no file of a known format"):
        labels(folder / "*.parquet")
    with pytest.raises(InputError, match="cannot be opened"):
        locate("nonsense://x/y.csv")


def test_a_name_that_is_no_utf_8_is_explained(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given as it is, or met in a folder by what chooses it; it disturbs nobody else."""
    strange = folder / os.fsdecode(b"caf\xe9")
    strange.mkdir()
    for path in (strange.with_suffix(".tsv"), strange / "x.md"):
        path.write_text("text\n")
    assert labels(folder / "*.csv") == [".b.csv", "a.csv", "b.csv"]
    explained = r"/caf\\xe9\.tsv cannot be opened: its name is not valid UTF-8"
    for name in ("*.tsv", f"{strange.name}.tsv", ""):
        with pytest.raises(InputError, match=explained):
            labels(folder / name)
    with pytest.raises(InputError, match=explained):
        locate(f"/none/{strange.name}.tsv")
    monkeypatch.chdir(strange)
    with pytest.raises(InputError, match="is not valid UTF-8"):
        locate("x.md")


def test_formats_are_not_mixed(folder: Path) -> None:
    """A folder's files make one table."""
    (folder / "x.jsonl").write_text("")
    with pytest.raises(InputError, match="has csv and jsonl files; choose with a glob"):
        labels(folder)


def test_a_neighbour_keeps_the_query() -> None:
    """It says where the store is."""
    place = locate("s3://bucket/out.npy?endpoint_override=127.0.0.1:1&scheme=http&region=x")
    assert place.beside(".ids").name == (
        "s3://bucket/out.npy.ids?endpoint_override=127.0.0.1:1&scheme=http&region=x"
    )
    assert place.beside(".ids").path == "bucket/out.npy.ids"
