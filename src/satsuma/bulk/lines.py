"""Lines of text, of JSON, of CSV and TSV -> slabs; a row that cannot be read is named.

Every line is a row of text or JSON Lines, also an empty one, so that a row's number is its line's.
Of CSV and TSV, a row is a record below the header, which may have several lines.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, BinaryIO

import orjson

from satsuma.bulk.errors import InputError
from satsuma.bulk.formats import InputFormat
from satsuma.bulk.inputs import InputFile
from satsuma.bulk.slabs import NOT_UTF8, SLAB_BYTES, SLAB_ROWS, Slab, require_columns
from satsuma.bulk.streams import open_stream

MAX_LINE_BYTES = 64 << 20  # longer ones are no rows
_BOM = b"\xef\xbb\xbf"
_Row = list[Any] | str  # cells, or why there are none


class _CountedStream:
    """Counts what is read."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.num_bytes = 0

    def readline(self, max_bytes: int) -> bytes:
        line = self._stream.readline(max_bytes)
        self.num_bytes += len(line)
        return line


def read_lines(file: InputFile, columns: Sequence[str], skip_rows: int) -> Iterator[Slab]:
    """Read some columns of a file of lines; see `readers.read_slabs`."""
    with open_stream(file) as opened:
        stream = _CountedStream(opened.stream)
        rows = islice(_ROWS[file.format](file, stream, columns), skip_rows, None)
        first_row = skip_rows + 1
        while some := _take_some(rows, stream):
            yield _slab(file, columns, first_row, some, opened.share)
            first_row += len(some)


def _take_some(rows: Iterator[_Row], stream: _CountedStream) -> list[_Row]:
    """Take a slab's rows: fewer of them where they are large."""
    some: list[_Row] = []
    end_bytes = stream.num_bytes + SLAB_BYTES
    for row in islice(rows, SLAB_ROWS):
        some.append(row)
        if stream.num_bytes >= end_bytes:
            break
    return some


def _slab(
    file: InputFile, columns: Sequence[str], first_row: int, rows: Sequence[_Row], share: float
) -> Slab:
    bad = {place: row for place, row in enumerate(rows) if isinstance(row, str)}
    nothing = [None] * len(columns)
    cells = zip(*(nothing if isinstance(row, str) else row for row in rows), strict=True)
    by_name = dict(zip(columns, map(list, cells), strict=True))
    return Slab(file.label, first_row, len(rows), by_name, bad, share)


def _lines(stream: _CountedStream) -> Iterator[bytes | None]:
    """Yield each line with its end; None in place of one that is too long."""
    is_first = True
    while line := stream.readline(MAX_LINE_BYTES):
        if len(line) == MAX_LINE_BYTES and not line.endswith(b"\n"):
            while (rest := stream.readline(MAX_LINE_BYTES)) and not rest.endswith(b"\n"):
                pass
            yield None
        else:
            yield line.removeprefix(_BOM) if is_first else line
        is_first = False


def _text_rows(_: InputFile, stream: _CountedStream, columns: Sequence[str]) -> Iterator[_Row]:
    num_others = len(columns) - 1
    for line in _lines(stream):
        if line is None:
            yield _TOO_LONG
            continue
        try:
            yield [line.removesuffix(b"\n").removesuffix(b"\r").decode(), *([None] * num_others)]
        except UnicodeDecodeError:
            yield NOT_UTF8


def _json_rows(_: InputFile, stream: _CountedStream, columns: Sequence[str]) -> Iterator[_Row]:
    for line in _lines(stream):
        yield _TOO_LONG if line is None else _parse_json(line, columns)


def _parse_json(line: bytes, columns: Sequence[str]) -> _Row:
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return f"not JSON: {error}" if line.strip() else "an empty line"
    if not isinstance(row, dict):
        return "not a JSON object"
    if columns[0] not in row:
        return f"no member {columns[0]!r}"
    return [row.get(name) for name in columns]


def _csv_rows(file: InputFile, stream: _CountedStream, columns: Sequence[str]) -> Iterator[_Row]:
    """Read comma-separated values as RFC 4180 has them; an empty field is an empty text."""
    _allow_long_fields()
    reader = csv.reader(_decoded(file, stream), strict=True)
    return _table_rows(file, reader, columns)


def _tsv_rows(file: InputFile, stream: _CountedStream, columns: Sequence[str]) -> Iterator[_Row]:
    """Read tab-separated values as IANA has them: no quoting, so a quote is a quote."""
    _allow_long_fields()
    reader = csv.reader(_decoded(file, stream), delimiter="\t", quoting=csv.QUOTE_NONE)
    return _table_rows(file, reader, columns)


def _allow_long_fields() -> None:
    """Raise the limit of the csv module, which all of the process shares; others may need more."""
    csv.field_size_limit(max(csv.field_size_limit(), MAX_LINE_BYTES))


def _decoded(file: InputFile, stream: _CountedStream) -> Iterator[str]:
    """Decode lines; what is no UTF-8 becomes lone surrogates, which `_pick` finds."""
    for number, line in enumerate(_lines(stream), start=1):
        if line is None:
            raise InputError(f"{file.name}: line {number} is longer than {MAX_LINE_BYTES} bytes.")
        yield line.decode(errors="surrogateescape")


def _table_rows(file: InputFile, reader: Any, columns: Sequence[str]) -> Iterator[_Row]:
    """Read a header, then rows of as many fields."""
    try:
        header = next(reader, None)
    except csv.Error as error:
        raise InputError(f"{file.name}: the header is malformed: {error}.") from error
    if header is None:
        return
    require_columns(file.name, columns, header)
    places = [header.index(name) for name in columns]
    while True:
        first_line = reader.line_num + 1
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            _check_quotes_end(file, error, first_line)
            yield _malformed(error, first_line, reader.line_num)
            continue
        yield _pick(record, places, len(header))


def _check_quotes_end(file: InputFile, error: csv.Error, first_line: int) -> None:
    """Refuse to go on behind a quote without end: what followed was taken for its text.

    Raises:
        InputError: tells where that record begins.
    """
    if str(error).startswith(_QUOTES_WITHOUT_END):
        raise InputError(
            f"{file.name}: the record that begins in line {first_line} has a quote that is not "
            f"closed before the file's end or within {MAX_LINE_BYTES} characters."
        ) from error


def _malformed(error: csv.Error, first_line: int, last_line: int) -> str:
    """Say of a record of several lines which ones, since they may be rows of their own."""
    lines = f" (lines {first_line} to {last_line})" if last_line > first_line else ""
    return f"malformed: {error}{lines}"


def _pick(record: list[str], places: Sequence[int], width: int) -> _Row:
    if len(record) != width:
        return f"{len(record)} fields, and the header has {width}" if record else "an empty line"
    cells = [record[place] for place in places]
    if not all(cell.isascii() or _is_utf8(cell) for cell in cells):
        return NOT_UTF8
    return cells


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


# The csv module's words; it has one exception for all.
_QUOTES_WITHOUT_END = ("unexpected end of data", "field larger than field limit")
_TOO_LONG = f"a line of more than {MAX_LINE_BYTES} bytes"
_ROWS: dict[InputFormat, Callable[[InputFile, _CountedStream, Sequence[str]], Iterator[_Row]]] = {
    InputFormat.LINES: _text_rows,
    InputFormat.JSONL: _json_rows,
    InputFormat.CSV: _csv_rows,
    InputFormat.TSV: _tsv_rows,
}
