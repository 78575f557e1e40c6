"""Parquet -> slabs, page by page, however large the row groups.

A page is read and decompressed whole: the format has nothing smaller, and a dictionary is one page.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, BinaryIO

import pyarrow as pa
from pyarrow import parquet

from satsuma.bulk.cells import with_leaves
from satsuma.bulk.errors import InputError
from satsuma.bulk.inputs import InputFile
from satsuma.bulk.locations import BUFFER_BYTES
from satsuma.bulk.slabs import NOT_UTF8, SLAB_BYTES, SLAB_ROWS, Slab, require_columns
from satsuma.bulk.streams import open_stream

_DECODED_ROWS = 32  # at once, since a few of them may be much larger than the mean


def read_types(file: InputFile, columns: Sequence[str]) -> Any:
    """Tell the Arrow types of some columns, as parts keep them.

    Raises:
        InputError: if the file cannot be read, or lacks a column, or has no texts in the first.
    """
    with _open_parquet(file) as opened:
        schema = opened.schema_arrow
        require_columns(file.name, columns, schema.names)
        _check_text_type(file, schema.field(columns[0]))
        return pa.schema([_plain(schema.field(name)) for name in columns])


def read_parquet(file: InputFile, columns: Sequence[str], skip_rows: int) -> Iterator[Slab]:
    """Read some columns of a file; see `readers.read_slabs`."""
    with _open_parquet(file) as opened:
        require_columns(file.name, columns, opened.schema_arrow.names)
        _check_text_type(file, opened.schema_arrow.field(columns[0]))
        groups, row = _skip_groups(opened.metadata, skip_rows)
        num_rows = _slab_rows(opened.metadata, groups, columns)
        decoded = opened.iter_batches(
            min(num_rows, _DECODED_ROWS),
            row_groups=groups,
            columns=list(columns),
            use_threads=False,
        )
        try:
            for table in _join(decoded, num_rows):
                ahead = min(max(skip_rows - row, 0), table.num_rows)
                row += ahead
                wanted = table.slice(ahead)
                if wanted.num_rows:
                    yield _slab(file, wanted, columns[0], row + 1, opened.metadata.num_rows)
                row += wanted.num_rows
        except (OSError, pa.ArrowException) as error:
            raise InputError(f"{file.name} cannot be read after row {row}: {error}") from error


def _join(decoded: Iterator[Any], max_rows: int) -> Iterator[Any]:
    """Join the few rows that are decoded at once, until they are worth a slab."""
    waiting: list[Any] = []
    num_rows = num_bytes = 0
    for some in decoded:
        waiting.append(some)
        num_rows, num_bytes = num_rows + some.num_rows, num_bytes + some.nbytes
        if num_rows >= max_rows or num_bytes >= SLAB_BYTES:
            yield pa.Table.from_batches(waiting)
            waiting, num_rows, num_bytes = [], 0, 0
    if waiting:
        yield pa.Table.from_batches(waiting)


def _open_parquet(file: InputFile) -> Any:
    """Open a file so that pages are read as they are needed, however large the row groups."""
    try:
        if file.location is None:
            source: Any = _spooled(file)
            source.seek(0)
        else:
            source = file.location.filesystem.open_input_file(file.location.path)
        return parquet.ParquetFile(source, pre_buffer=False, buffer_size=BUFFER_BYTES)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{file.name} cannot be read as Parquet: {error}") from error


@lru_cache(1)
def _spooled(file: InputFile) -> BinaryIO:
    """Put standard input on the disk, once: Parquet's directory is at its end."""
    spool = tempfile.TemporaryFile()  # noqa: SIM115  it is read until the process ends
    with open_stream(file) as opened:
        while content := opened.stream.read(BUFFER_BYTES):
            spool.write(content)
    return spool


def _skip_groups(metadata: Any, skip_rows: int) -> tuple[list[int], int]:
    """Give the row groups from that of a row on, and how many rows come before them."""
    before = 0
    for group in range(metadata.num_row_groups):
        num_rows = metadata.row_group(group).num_rows
        if before + num_rows > skip_rows:
            return list(range(group, metadata.num_row_groups)), before
        before += num_rows
    return [], before


def _slab_rows(metadata: Any, groups: Sequence[int], columns: Sequence[str]) -> int:
    """Tell how many rows a slab may have: fewer where a row group's are large on average."""
    mean_bytes = 0.0
    for group in map(metadata.row_group, groups):
        parts = map(group.column, range(group.num_columns))
        wanted = [one for one in parts if _is_part_of(one.path_in_schema, columns)]
        total_bytes = sum(one.total_uncompressed_size for one in wanted)
        mean_bytes = max(mean_bytes, total_bytes / max(group.num_rows, 1))
    return max(1, min(SLAB_ROWS, int(SLAB_BYTES / max(mean_bytes, 1.0))))


def _is_part_of(path: str, columns: Sequence[str]) -> bool:
    """Tell whether a leaf of the schema is one of these columns, or within one."""
    return any(path == name or path.startswith(f"{name}.") for name in columns)


def _slab(file: InputFile, table: Any, text: str, first_row: int, total_rows: int) -> Slab:
    columns: dict[str, Any] = {}
    bad: dict[int, str] = {}
    for name in table.schema.names:
        column = _plain_array(table.column(name).combine_chunks())
        if name == text and not pa.types.is_string(column.type):
            columns[name], places = _decode_all(column)
        else:
            columns[name], places = _without_invalid(column)
        bad |= dict.fromkeys(places, NOT_UTF8)
    share = (first_row - 1 + table.num_rows) / total_rows
    return Slab(file.label, first_row, table.num_rows, columns, bad, share)


def _without_invalid(column: Any) -> tuple[Any, list[int]]:
    """Take out texts that are no UTF-8, which Parquet lets pass, and say where they were."""
    if not pa.types.is_string(column.type):
        return column, []
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        return _decode_all(column)
    return column, []


def _decode_all(column: Any) -> tuple[Any, list[int]]:
    cells = column.cast(pa.binary()).to_pylist()
    texts = [None if cell is None else _decode(cell) for cell in cells]
    places = [i for i, text in enumerate(texts) if text is None and cells[i] is not None]
    return pa.array(texts, pa.string()), places


def _decode(cell: bytes) -> str | None:
    try:
        return cell.decode()
    except UnicodeDecodeError:
        return None


def _plain(field: Any) -> Any:
    return pa.field(field.name, _plain_type(field.type))


def _plain_type(wanted: Any) -> Any:
    """Give the one type of text for all of Arrow's, and what a dictionary stands for.

    Within lists, structs and maps only views give way, of which pyarrow takes no cells.
    """
    kind = wanted.value_type if pa.types.is_dictionary(wanted) else wanted
    return pa.string() if pa.types.is_large_string(kind) else with_leaves(kind, _without_view)


def _without_view(kind: Any) -> Any:
    if pa.types.is_binary_view(kind):
        return pa.binary()
    return pa.string() if pa.types.is_string_view(kind) else kind


def _plain_array(column: Any) -> Any:
    wanted = _plain_type(column.type)
    return column if column.type == wanted else column.cast(wanted)


def _check_text_type(file: InputFile, field: Any) -> None:
    kind = _plain_type(field.type)
    if not (pa.types.is_string(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
        raise InputError(f"{file.name}: column {field.name!r} holds {field.type}, not text.")
