"""Parts -> the output's formats. The same parts give the same bytes."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, BinaryIO

import numpy as np
import orjson
import pyarrow as pa
from pyarrow import parquet

from satsuma.bulk.cells import to_cells, to_json, to_text
from satsuma.bulk.errors import JobError
from satsuma.bulk.formats import OutputFormat
from satsuma.bulk.options import CHUNK, ID, VECTOR
from satsuma.bulk.parts import vectors_of
from satsuma.bulk.slabs import is_json

Table = Any  # pyarrow's
Write = Callable[[Iterable[Table], Any, Mapping[str, Any], BinaryIO], None]
_GROUP_BYTES = 32 << 20  # of a row group, and so of memory
_GROUP_ROWS = 1 << 16
_KEY = b"satsuma"
_LINE = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE
_NO_VECTORS = {"vectors": 0}
_NPY_VERSION = (1, 0)


def final_schema(schema: Any, kinds: Mapping[str, frozenset[str]]) -> Any:
    """Give the output's schema: JSON columns get the type that all their values have.

    Args:
        schema: the parts'.
        kinds: what the JSON columns of all parts hold, by name.
    """
    fields = [
        pa.field(one.name, _column_type(kinds.get(one.name, frozenset()))) if is_json(one) else one
        for one in schema
    ]
    return pa.schema(fields)


def _column_type(kinds: frozenset[str]) -> Any:
    values = kinds - {"null"}
    if values == {"bool"}:
        return pa.bool_()
    if values == {"int"}:
        return pa.int64()
    if values and values <= {"int", "float"}:
        return pa.float64()
    return pa.string()


def write_parquet(
    tables: Iterable[Table], schema: Any, metadata: Mapping[str, Any], target: BinaryIO
) -> None:
    """Write Parquet: vectors as a list of fixed size, as they are; the rest in zstd."""
    others = [one.name for one in schema if one.name != VECTOR]
    vector_path = f"{VECTOR}.list.element"
    with parquet.ParquetWriter(
        target,
        with_metadata(schema, metadata),
        compression={**dict.fromkeys(others, "zstd"), vector_path: "none"},
        use_dictionary=others,
        write_statistics=others,
    ) as writer:
        for group in _group(as_final(table, schema) for table in tables):
            writer.write_table(group, row_group_size=group.num_rows)


def write_arrow(
    tables: Iterable[Table], schema: Any, metadata: Mapping[str, Any], target: BinaryIO
) -> None:
    """Write Arrow's IPC stream."""
    with pa.ipc.new_stream(target, with_metadata(schema, metadata)) as writer:
        for table in tables:
            writer.write_table(as_final(table, schema))


def write_jsonl(
    tables: Iterable[Table], _: Any, metadata: Mapping[str, Any], target: BinaryIO
) -> None:
    """Write an object a line: the columns as the parts have them, the vector last."""
    del metadata  # goes beside it
    for table in tables:
        columns = {name: _json_cells(table, name) for name in _side_names(table)}
        rows = zip(_rows(columns), vectors_of(table), strict=True)
        target.writelines(_line({**row, VECTOR: vector}) for row, vector in rows)


def write_vectorize(
    tables: Iterable[Table], _: Any, metadata: Mapping[str, Any], target: BinaryIO
) -> None:
    """Write what `wrangler vectorize insert --file` reads: id, values, and metadata without nulls.

    Source: https://developers.cloudflare.com/vectorize/best-practices/insert-vectors/
    """
    del metadata  # goes beside it
    for table in tables:
        names = [name for name in _side_names(table) if name != ID]
        columns = {name: _json_cells(table, name) for name in names}
        ids = vector_ids(table)
        for id_, row, vector in zip(ids, _rows(columns, len(ids)), vectors_of(table), strict=True):
            told = {name: value for name, value in row.items() if value is not None}
            line = {"id": id_, "values": vector} | ({"metadata": told} if told else {})
            target.write(_line(line))


def write_npy(
    tables: Iterable[Table], schema: Any, metadata: Mapping[str, Any], target: BinaryIO
) -> None:
    """Write NumPy's format: (N, D); `metadata` tells N, since it comes first in the file."""
    vector = schema.field(VECTOR).type
    header = {
        "descr": np.lib.format.dtype_to_descr(np.dtype(vector.value_type.to_pandas_dtype())),
        "fortran_order": False,
        "shape": (metadata["vectors"], vector.list_size),
    }
    np.lib.format.write_array_header_1_0(target, header)
    target.writelines(np.ascontiguousarray(vectors_of(table)).data for table in tables)


def write_ids(tables: Iterable[Table], target: BinaryIO) -> None:
    """Write what npy has no place for: an object a line, in the rows' order."""
    for table in tables:
        columns = {name: _json_cells(table, name) for name in _side_names(table)}
        target.writelines(map(_line, _rows(columns)))


def _line(row: Mapping[str, Any]) -> bytes:
    return orjson.dumps(row, default=to_json, option=_LINE)


WRITERS: dict[OutputFormat, Write] = {
    OutputFormat.PARQUET: write_parquet,
    OutputFormat.JSONL: write_jsonl,
    OutputFormat.NPY: write_npy,
    OutputFormat.ARROW: write_arrow,
    OutputFormat.VECTORIZE: write_vectorize,
}


def check_schema(kind: OutputFormat, schema: Any) -> None:
    """Notice before the work is done that a format has no place for a column.

    Raises:
        JobError: if so.
    """
    try:
        WRITERS[kind]([schema.empty_table()], final_schema(schema, {}), _NO_VECTORS, io.BytesIO())
    except (pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise JobError(f"{kind} cannot be written of these columns: {error}") from error


def with_metadata(schema: Any, metadata: Mapping[str, Any]) -> Any:
    """Put what is told of the output into its schema, as JSON under the key `satsuma`."""
    return schema.with_metadata({_KEY: orjson.dumps(metadata)})


def as_final(table: Table, schema: Any) -> Table:
    """Give a part the output's types."""
    columns = [_as_final(table, one) for one in schema]
    return pa.table(columns, schema=schema)


def _as_final(table: Table, wanted: Any) -> Any:
    column = table.column(wanted.name)
    if not is_json(table.schema.field(wanted.name)):
        return column
    values = [None if cell is None else orjson.loads(cell) for cell in column.to_pylist()]
    if pa.types.is_string(wanted.type):
        values = [to_text(value) for value in values]
    if pa.types.is_float64(wanted.type):
        values = [None if value is None else float(value) for value in values]
    return pa.array(values, wanted.type)


def vector_ids(table: Table) -> list[str]:
    """Give each vector an id of its own, as text: a chunk's has its number behind a `#`."""
    column = table.column(ID)
    cells = to_cells(column)
    if is_json(table.schema.field(ID)):
        cells = [orjson.loads(cell) for cell in cells]
    ids = [str(to_text(cell)) for cell in cells]
    if CHUNK not in table.schema.names:
        return ids
    numbers = table.column(CHUNK).to_pylist()
    return [f"{id_}#{number}" for id_, number in zip(ids, numbers, strict=True)]


def _side_names(table: Table) -> list[str]:
    return [name for name in table.schema.names if name != VECTOR]


def _json_cells(table: Table, name: str) -> list[Any]:
    """Give a column's cells as orjson writes them; JSON texts go out as they came."""
    cells = to_cells(table.column(name))
    if not is_json(table.schema.field(name)):
        return cells
    return [None if cell is None else orjson.Fragment(cell) for cell in cells]


def _rows(columns: dict[str, list[Any]], num_rows: int = 0) -> Iterator[dict[str, Any]]:
    """Turn columns into rows."""
    if not columns:
        return iter([{} for _ in range(num_rows)])
    return (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))


def _group(tables: Iterable[Table]) -> Iterator[Table]:
    """Join tables until they are worth a row group."""
    waiting: list[Table] = []
    for table in tables:
        if not table.num_rows:
            continue
        waiting.append(table)
        num_rows = sum(one.num_rows for one in waiting)
        if num_rows >= _GROUP_ROWS or sum(one.nbytes for one in waiting) >= _GROUP_BYTES:
            yield pa.concat_tables(waiting)
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting)
