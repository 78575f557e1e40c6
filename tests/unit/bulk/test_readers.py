"""Files -> slabs: every format, every kind of bad row."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from satsuma.bulk import lines, parquets
from satsuma.bulk.errors import InputError
from satsuma.bulk.inputs import InputFile, find_inputs
from satsuma.bulk.readers import read_schema, read_slabs

MakeFile = Callable[[str, bytes], InputFile]


def read(file: InputFile, *columns: str, skip_rows: int = 0) -> tuple[list[Any], dict[int, str]]:
    """Read all rows of some columns, and the reasons by row number."""
    rows: list[Any] = []
    bad: dict[int, str] = {}
    for slab in read_slabs(file, columns, skip_rows):
        assert slab.first_row == skip_rows + len(rows) + 1
        cells = [slab.cells(name) for name in columns]
        rows += list(zip(*cells, strict=True)) if len(columns) > 1 else cells[0]
        bad |= {slab.first_row + place: reason for place, reason in slab.bad.items()}
    return rows, bad


def test_lines_of_text(input_file: MakeFile) -> None:
    """Either end of line, a mark at the beginning, no end at the end; invalid UTF-8 is named."""
    file = input_file("a.txt", b"\xef\xbb\xbfone\r\ntwo\n\n\xff\n\xe2\x80\xa8three")
    rows, bad = read(file, "text")
    assert rows == ["one", "two", "", None, "\u2028three"]
    assert bad == {4: "not valid UTF-8"}


def test_csv_as_rfc_4180_has_it(input_file: MakeFile) -> None:
    """Quotes, commas and ends of lines in a field; other columns are not read."""
    content = b'id,text,x\n1,"a, ""b""\nc",\r\n2,,z\n'
    assert read(input_file("a.csv", content), "text", "id") == ([('a, "b"\nc', "1"), ("", "2")], {})


def test_bad_rows_of_csv_are_named(input_file: MakeFile) -> None:
    """Numbers count records below the header, and the rest goes on."""
    content = b'text,x\nok,1\nshort\n"broken" quote,1\n\xff,1\n\nlast,1\n'
    rows, bad = read(input_file("a.csv", content), "text")
    assert [rows[0], rows[-1]] == ["ok", "last"]
    assert bad == {
        2: "1 fields, and the header has 2",
        3: "malformed: ',' expected after '\"'",
        4: "not valid UTF-8",
        5: "an empty line",
    }


@pytest.fixture
def short_fields() -> Iterator[None]:
    """Let the csv module take little, and everything again afterwards: its limit is everybody's."""
    before = csv.field_size_limit(100)
    yield
    csv.field_size_limit(before)


@pytest.mark.usefixtures("short_fields")
@pytest.mark.parametrize("rest", [b"", b"2,b\n3,c", b"2,b\n" * 100])
def test_a_quote_without_end_is_refused(
    input_file: MakeFile, monkeypatch: pytest.MonkeyPatch, rest: bytes
) -> None:
    """It swallows the rest of the file, which would be missing without a word."""
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 100)
    file = input_file("a.csv", b'id,text\n1,"two\nlines"\n1,"a\n' + rest)
    with pytest.raises(InputError, match=r"a\.csv: the record that begins in line 4 has a quote"):
        read(file, "text")


def test_a_malformed_record_of_several_lines_says_which(input_file: MakeFile) -> None:
    """An open quote may end at the next one; there the rest goes on."""
    file = input_file("a.csv", b'text,x\n"open,1\nrow,1\n"b",1\nlast,1\n')
    rows, bad = read(file, "text")
    assert rows == [None, "last"]
    assert bad == {1: "malformed: ',' expected after '\"' (lines 2 to 4)"}


def test_a_csv_line_without_end_stops_the_job(
    input_file: MakeFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can tell whether a record ends in it."""
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 10)
    with pytest.raises(InputError, match="line 2 is longer than 10 bytes"):
        read(input_file("a.csv", b"text\n" + b"x" * 35 + b"\nlast\n"), "text")


@pytest.mark.usefixtures("short_fields")
def test_the_limit_of_fields_is_only_raised(
    input_file: MakeFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of the process shares it, and somebody else may have asked for more."""
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 50)
    read(input_file("a.csv", b"text\none\n"), "text")
    assert csv.field_size_limit() == 100
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 150)
    read(input_file("a.csv", b"text\none\n"), "text")
    assert csv.field_size_limit() == 150


def test_a_header_of_no_form_is_refused(input_file: MakeFile) -> None:
    """The error names the file, since nothing in it can be read."""
    with pytest.raises(InputError, match=r"a\.csv: the header is malformed: ',' expected"):
        read(input_file("a.csv", b'"text" x,id\n1,2\n'), "text")


def test_tsv_has_no_quotes(input_file: MakeFile) -> None:
    """A quote is a quote, so that a lone one swallows nothing."""
    content = b'text\tx\n"He said\t1\nno"\t2\n'
    assert read(input_file("a.tsv", content), "text") == (['"He said', 'no"'], {})


def test_json_lines(input_file: MakeFile) -> None:
    """Any values are kept; what is no object with the column is named."""
    content = b'{"text":"a","k":[1]}\n{"text":5}\n\n{"k":1}\n[1]\n{"text":"\xff"}\n{"text":null}\n'
    rows, bad = read(input_file("a.jsonl", content), "text", "k")
    assert rows[:2] == [("a", [1]), (5, None)]
    assert rows[-1] == (None, None)
    assert {row: reason.split(":")[0] for row, reason in bad.items()} == {
        3: "an empty line",
        4: "no member 'text'",
        5: "not a JSON object",
        6: "not JSON",
    }


def test_a_line_without_end_is_no_row(
    input_file: MakeFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is passed over without being held in memory."""
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 10)
    rows, bad = read(input_file("a.txt", b"short\n" + b"x" * 35 + b"\nlast\n"), "text")
    assert (rows, list(bad)) == (["short", None, "last"], [2])


@pytest.mark.parametrize("ending", [".gz", ".zst"])
def test_compressed_lines(input_file: MakeFile, ending: str) -> None:
    """Several members one after another too, as `cat a.gz b.gz` makes them."""
    kind = {".gz": "gzip", ".zst": "zstd"}[ending]
    codec = pa.Codec(kind)
    content = b"".join(codec.compress(one, asbytes=True) for one in (b"one\n", b"two\n"))
    if ending == ".gz":
        content = gzip.compress(b"one\n") + gzip.compress(b"two\n")
    assert read(input_file(f"a.txt{ending}", content), "text") == (["one", "two"], {})


def test_a_damaged_archive_is_an_error(input_file: MakeFile) -> None:
    """Not the end of the input."""
    file = input_file("a.txt.gz", gzip.compress(b"some text " * 1000)[:-20])
    with pytest.raises(InputError, match=r"a\.txt\.gz cannot be read"):
        read(file, "text")


def write_parquet(path: Path, columns: dict[str, Any], **options: Any) -> InputFile:
    """Write a table."""
    parquet.write_table(pa.table(columns), path, **options)
    return find_inputs(str(path), None)[0]


def test_parquet_of_any_type_of_text(tmp_path: Path) -> None:
    """Strings large, small and in dictionaries, and bytes."""
    texts = ["a", None, "b"]
    kinds = (
        pa.large_string(),
        pa.string_view(),
        pa.dictionary(pa.int32(), pa.string()),
        pa.binary(),
        pa.binary_view(),
    )
    for number, kind in enumerate(kinds):
        file = write_parquet(tmp_path / f"{number}.parquet", {"text": pa.array(texts).cast(kind)})
        assert read(file, "text") == (texts, {})


@pytest.mark.parametrize(
    ("kind", "cell"),
    [
        (pa.binary_view(), b"x"),
        (pa.list_(pa.string_view()), ["x", None]),
        (pa.large_list(pa.string_view()), ["x"]),
        (pa.struct([("a", pa.string_view()), ("b", pa.list_(pa.binary_view()))]), {"a": "x"}),
        (pa.map_(pa.string_view(), pa.string_view()), [("k", "x")]),
    ],
    ids=str,
)
def test_parquet_columns_of_views_are_kept(tmp_path: Path, kind: Any, cell: Any) -> None:
    """As other programs write them; pyarrow takes no cells of a view."""
    plain = pa.array([cell, None], parquets._plain_type(kind))
    file = write_parquet(tmp_path / "a.parquet", {"text": ["a", "b"], "k": plain.cast(kind)})
    assert parquet.read_schema(tmp_path / "a.parquet").field("k").type == kind
    (slab,) = read_slabs(file, ("text", "k"))
    assert slab.take("k", [1, 0], read_schema(file, ("text", "k")).field("k")) == plain.take([1, 0])


def test_invalid_utf_8_in_parquet_is_named(tmp_path: Path) -> None:
    """Arrow lets it pass, in the texts and beside them."""
    broken = pa.array([b"ok", b"\xff", b"ok"]).view(pa.string())
    file = write_parquet(
        tmp_path / "a.parquet", {"text": broken, "k": broken.slice(1, 1).take([0, 0, 0])}
    )
    assert read(file, "text") == (["ok", None, "ok"], {2: "not valid UTF-8"})
    assert sorted(read(file, "text", "k")[1]) == [1, 2, 3]


def test_parquet_skips_row_groups(tmp_path: Path) -> None:
    """And goes on in the middle of one."""
    columns = {"text": [f"t{n}" for n in range(100)]}
    file = write_parquet(tmp_path / "a.parquet", columns, row_group_size=30)
    assert read(file, "text", skip_rows=65)[0] == columns["text"][65:]
    assert read(file, "text", skip_rows=100)[0] == []


@pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.jsonl"])
def test_lines_are_skipped(input_file: MakeFile, name: str) -> None:
    """The numbers go on where they were."""
    rows = {"a.txt": b"%d\n", "a.csv": b"%d\n", "a.jsonl": b'{"text":"%d"}\n'}
    head = b"text\n" if name == "a.csv" else b""
    file = input_file(name, head + b"".join(rows[name] % n for n in range(3000)))
    assert read(file, "text", skip_rows=1500)[0] == [str(n) for n in range(1500, 3000)]


@pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.jsonl"])
def test_large_rows_make_small_slabs(
    input_file: MakeFile, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A slab of a thousand documents of a megabyte would be a gigabyte."""
    monkeypatch.setattr(lines, "SLAB_BYTES", 1000)
    line = b'{"text":"%s"}\n' % (b"x" * 400) if name == "a.jsonl" else b"x" * 412 + b"\n"
    head = b"text\n" if name == "a.csv" else b""
    file = input_file(name, head + line * 10)
    assert [slab.num_rows for slab in read_slabs(file, ("text",))] == [3, 3, 3, 1]
    assert len(read(file, "text", skip_rows=4)[0]) == 6


def test_large_rows_of_parquet_make_small_slabs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What other columns hold does not count, and the largest row group does."""
    monkeypatch.setattr(parquets, "SLAB_BYTES", 5000)
    texts, others = ([f"{n:0{width}}" for n in range(20)] for width in (1000, 9000))
    columns = {"text": texts, "other": others}
    file = write_parquet(tmp_path / "a.parquet", columns, row_group_size=10, use_dictionary=False)
    assert [slab.num_rows for slab in read_slabs(file, ("text",))] == [4] * 5
    assert read(file, "text", skip_rows=7)[0] == texts[7:]


def test_a_few_large_rows_among_small_ones_make_small_slabs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though a row group's mean says that a thousand rows are little."""
    monkeypatch.setattr(parquets, "SLAB_BYTES", 5000)
    monkeypatch.setattr(parquets, "_DECODED_ROWS", 2)
    texts = [f"{n:010}" for n in range(4000)] + [f"{n:01000}" for n in range(40)]
    file = write_parquet(tmp_path / "a.parquet", {"text": texts})
    slabs = list(read_slabs(file, ("text",)))
    assert [text for slab in slabs for text in slab.cells("text")] == texts
    assert max(sum(map(len, slab.cells("text"))) for slab in slabs) < 7000
    assert min(slab.num_rows for slab in slabs[:10]) > 100
    assert read(file, "text", skip_rows=4007)[0] == texts[4007:]


@pytest.mark.parametrize(
    ("name", "content"), [("a.csv", b"a,b\n1,2\n"), ("a.tsv", b"a\tb\n1\t2\n")]
)
def test_a_column_that_is_not_there_is_named(
    input_file: MakeFile, name: str, content: bytes
) -> None:
    """With those that are."""
    with pytest.raises(InputError, match="has no column 'text'; it has 'a', 'b'"):
        read(input_file(name, content), "text")


def test_parquet_columns_are_checked(tmp_path: Path) -> None:
    """Their names, and that the texts are texts."""
    file = write_parquet(tmp_path / "a.parquet", {"n": [1]})
    with pytest.raises(InputError, match="has no column 'text'; it has 'n'"):
        read_schema(file, ("text",))
    with pytest.raises(InputError, match="column 'n' holds int64, not text"):
        read(file, "n")


def test_a_column_that_is_there_twice_is_refused(input_file: MakeFile, tmp_path: Path) -> None:
    """Nobody can tell which is meant; other names may repeat."""
    table = pa.table([["a"], ["b"], ["c"], ["d"]], names=["text", "text", "k", "k"])
    parquet.write_table(table, tmp_path / "a.parquet")
    (twice,) = find_inputs(str(tmp_path / "a.parquet"), None)
    for file in (twice, input_file("a.csv", b"text,text,k,k\na,b,c,d\n")):
        with pytest.raises(InputError, match="has more than one column 'text'"):
            read_schema(file, ("text",))
    assert read(input_file("b.csv", b"text,k,k\na,b,c\n"), "text") == (["a"], {})


def test_what_is_no_parquet_is_an_error(input_file: MakeFile) -> None:
    """In one line."""
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        read(input_file("a.parquet", b"no"), "text")


def test_an_empty_csv_has_no_rows(input_file: MakeFile) -> None:
    """Not even a header."""
    assert read(input_file("a.csv", b""), "text") == ([], {})
