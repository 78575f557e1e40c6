"""Slabs -> windows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any
from weakref import ref

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from satsuma.bulk import cutting
from satsuma.bulk.chunks import Chunker
from satsuma.bulk.conditions import parse_condition
from satsuma.bulk.cutting import Cutter
from satsuma.bulk.errors import InputError
from satsuma.bulk.formats import InputFormat, OutputFormat
from satsuma.bulk.options import JobOptions
from satsuma.bulk.slabs import JSON_MARK, Slab
from satsuma.bulk.windows import BEGINNING, Cursor, RowError, Window, side_schema
from satsuma.engine.spans import Span

Rows = list[dict[str, Any]]


def slabs(files: list[Rows], size: int, start: Cursor = BEGINNING) -> Iterator[tuple[int, Slab]]:
    """Give rows in slabs of a size, from a cursor on."""
    for index, rows in enumerate(files[start.file :], start=start.file):
        begin = start.row if index == start.file else 0
        for first in range(begin, len(rows), size):
            some = rows[first : first + size]
            columns = {name: [row[name] for row in some] for name in rows[0]}
            yield index, Slab(f"f{index}", first + 1, len(some), columns, share=0.5)


def cutter(
    wishes: JobOptions, chunker: Chunker | None = None, *, is_one_file: bool = True
) -> Cutter:
    """Make a cutter for columns of JSON Lines."""
    types = pa.schema([pa.field(name, pa.string(), metadata=JSON_MARK) for name in wishes.columns])
    return Cutter(wishes, side_schema(wishes, types, is_one_file=is_one_file), chunker)


def jsonl(**wishes: Any) -> JobOptions:
    """Options for rows of any values."""
    usual = {"input_format": InputFormat.JSONL, "output_format": OutputFormat.PARQUET}
    return JobOptions(**({"model": "m"} | usual | wishes))


def texts(*values: Any) -> Rows:
    """Rows of one column."""
    return [{"text": value} for value in values]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows of three texts or ten characters."""
    monkeypatch.setattr(cutting, "WINDOW_TEXTS", 3)
    monkeypatch.setattr(cutting, "WINDOW_CHARACTERS", 10)


@pytest.mark.usefixtures("small")
def test_a_window_ends_with_its_texts_or_characters() -> None:
    """Whichever comes first; a long text is alone if it must."""
    rows = texts("a", "b", "c", "d" * 50, "e", "f")
    windows = list(cutter(jsonl()).cut(slabs([rows], 4), BEGINNING))
    assert [window.texts for window in windows] == [("a", "b", "c"), ("d" * 50,), ("e", "f")]
    assert [window.number for window in windows] == [0, 1, 2]


def test_rows_are_numbered_from_one() -> None:
    """In one file by a number, in several by the file's name and the number."""
    one = next(cutter(jsonl()).cut(slabs([texts("a", "b")], 9), BEGINNING))
    assert one.side.to_pydict() == {"id": [1, 2]}
    files = [texts("a"), texts("b", "c")]
    two = next(cutter(jsonl(), is_one_file=False).cut(slabs(files, 9), BEGINNING))
    assert two.side.to_pydict() == {"id": ["f0:1", "f1:1", "f1:2"]}


def test_bad_rows_have_reasons() -> None:
    """The rest is taken."""
    rows = texts("a", None, 5, "", "b" * 100, [1])
    window = next(cutter(jsonl()).cut(slabs([rows], 9), BEGINNING))
    assert window.texts == ("a", "b" * 100)
    assert window.errors == (
        RowError("f0", 2, "'text' is null, not text"),
        RowError("f0", 3, "'text' is 5, not text"),
        RowError("f0", 4, "'text' is empty"),
        RowError("f0", 6, "'text' is [1], not text"),
    )


def test_an_id_has_to_be_there_and_fit() -> None:
    """Vectorize takes 64 bytes."""
    rows: Rows = [{"text": "a", "k": None}, {"text": "b", "k": "é" * 33}, {"text": "c", "k": 3}]
    window = next(cutter(jsonl(id_column="k")).cut(slabs([rows], 9), BEGINNING))
    assert (window.texts, len(window.errors)) == (("b", "c"), 1)
    wishes = jsonl(id_column="k", output_format=OutputFormat.VECTORIZE)
    window = next(cutter(wishes).cut(slabs([rows], 9), BEGINNING))
    assert [one.reason for one in window.errors] == [
        "'k', the id, is null",
        "the id has more than Vectorize's 64 bytes",
    ]


def test_conditions_leave_rows_out_without_a_word() -> None:
    """Bad ones too; they are no errors."""
    rows: Rows = [{"text": "a", "n": 1}, {"text": None, "n": 1}, {"text": "b", "n": 2}]
    wishes = jsonl(where=(parse_condition("n > 1"),), keep=("n",))
    window = next(cutter(wishes).cut(slabs([rows], 9), BEGINNING))
    assert (window.texts, window.errors, window.num_rows, window.num_taken) == (("b",), (), 3, 1)
    assert window.side.column("n").to_pylist() == ["2"]
    assert window.kinds == {"n": ("int",)}


class Cells(list[Any]):
    """A column that can be watched."""


def test_a_window_keeps_no_slabs() -> None:
    """Of which a selective job reads very many before a window is full."""
    columns_read: list[ref[Cells]] = []

    def read() -> Iterator[tuple[int, Slab]]:
        for number in range(20):
            assert sum(one() is not None for one in columns_read) <= 1
            columns = {"text": Cells(["a", "b"]), "n": Cells([number, -1])}
            columns_read.append(ref(columns["text"]))
            yield 0, Slab("f0", 1 + 2 * number, 2, dict(columns))

    wishes = jsonl(where=(parse_condition("n >= 0"),), keep=("n",))
    (window,) = cutter(wishes).cut(read(), BEGINNING)
    assert window.side.column("n").to_pylist() == [str(number) for number in range(20)]
    assert window.side.column("id").to_pylist() == list(range(1, 41, 2))
    assert window.kinds == {"n": ("int",)}


def test_a_limit_counts_rows_that_were_taken() -> None:
    """Over all windows, and when the job goes on."""
    rows = texts("a", None, "b", "c")
    wishes = cutter(jsonl(limit=2))
    (window,) = wishes.cut(slabs([rows], 9), BEGINNING)
    assert window.texts == ("a", "b")
    assert window.next == Cursor(0, 3, 2)
    assert list(wishes.cut(slabs([rows], 9, window.next), window.next, 1)) == []


def test_an_empty_input_is_one_empty_window() -> None:
    """So that there is an output, with columns and without rows."""
    (window,) = cutter(jsonl(keep=("k",))).cut(iter(()), BEGINNING)
    assert (window.texts, window.side.num_rows) == ((), 0)
    assert window.side.schema.names == ["id", "k"]


def letters(text: str) -> list[Span]:
    """Each letter is a token and a word."""
    return [Span(i, i + 1, begins_word=True) for i in range(len(text))]


def test_chunks_stand_beside_one_another() -> None:
    """Each with its row's id, its number and where it lies."""
    wishes = jsonl(chunk_tokens=5, overlap_tokens=1)
    chunker = Chunker(letters, 5, 1)
    (window,) = cutter(wishes, chunker).cut(slabs([texts("abcde", "f")], 9), BEGINNING)
    assert window.texts == ("abc", "cde", "f")
    assert window.side.to_pydict() == {
        "id": [1, 1, 2],
        "chunk": [0, 1, 0],
        "start": [0, 2, 0],
        "end": [3, 5, 1],
    }


def test_vectorizes_ids_have_to_fit_with_their_chunks() -> None:
    """Each chunk's id ends in its number, so the last one's is the longest."""
    wishes = jsonl(output_format=OutputFormat.VECTORIZE, id_column="k", chunk_tokens=3)
    rows: Rows = [
        {"text": "a" * 10, "k": "é" * 31},
        {"text": "a" * 11, "k": "é" * 31},
        {"text": "a", "k": "é" * 31 + "e"},
    ]
    (window,) = cutter(wishes, Chunker(letters, 3)).cut(slabs([rows], 9), BEGINNING)
    assert [one.row for one in window.errors] == [2, 3]
    assert window.errors[0].reason == "the id, with '#10', has more than Vectorize's 64 bytes"
    assert window.num_taken == 1


def test_vectorizes_ids_have_to_fit_with_their_files() -> None:
    """The name of a row of several files is as long as its file's."""
    wishes = jsonl(output_format=OutputFormat.VECTORIZE)
    columns = {"text": ["a", "b"]}
    some = Slab("f" * 62, 9, 2, columns)
    (window,) = cutter(wishes, is_one_file=False).cut(iter([(0, some)]), BEGINNING)
    assert (window.texts, [one.row for one in window.errors]) == (("a",), [10])
    (window,) = cutter(wishes).cut(iter([(0, some)]), BEGINNING)
    assert window.texts == ("a", "b")


def test_cells_have_to_fit_the_first_files_type(options: Callable[..., JobOptions]) -> None:
    """What a later file has of another type is an error that names the column."""
    wishes = options(keep=("n",))
    schema = side_schema(
        wishes, pa.schema({"text": pa.string(), "n": pa.int64()}), is_one_file=True
    )
    slab = Slab("f1", 1, 1, {"text": pa.array(["a"]), "n": pa.array(["x"])})
    with pytest.raises(InputError, match="column 'n' is no int64"):
        next(Cutter(wishes, schema).cut(iter([(0, slab)]), BEGINNING))


files_of_rows = st.lists(
    st.lists(
        st.sampled_from(["", "a", "bb", "c" * 9, "d" * 30, None]).map(lambda one: {"text": one}),
        min_size=1,
        max_size=12,
    ),
    min_size=1,
    max_size=4,
)


def same(one: Window, other: Window) -> bool:
    """Compare all but how much was read, which depends on the slabs."""
    names = ("number", "texts", "errors", "num_rows", "num_taken", "next")
    return all(getattr(one, name) == getattr(other, name) for name in names) and one.side.equals(
        other.side
    )


@settings(deadline=None)  # Arrow's first table takes its time
@given(files_of_rows, st.integers(1, 9), st.integers(1, 9), st.one_of(st.none(), st.integers(1, 9)))
def test_windows_do_not_depend_on_where_reading_began(
    files: list[Rows], size: int, other_size: int, limit: int | None
) -> None:
    """From each window's end on, in slabs of any size, the same windows follow."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cutting, "WINDOW_TEXTS", 3)
        patch.setattr(cutting, "WINDOW_CHARACTERS", 10)
        maker = cutter(jsonl(limit=limit), is_one_file=False)
        windows = list(maker.cut(slabs(files, size), BEGINNING))
        for before, window in pairwise(windows):
            again = list(
                maker.cut(slabs(files, other_size, before.next), before.next, window.number)
            )
            assert all(map(same, again, windows[window.number :]))
            assert len(again) == len(windows) - window.number
        taken = [text for window in windows for text in window.texts]
        wanted = [row["text"] for rows in files for row in rows if row["text"]]
        assert taken == wanted[:limit]
