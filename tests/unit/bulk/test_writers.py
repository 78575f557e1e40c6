"""Parts -> formats, where the whole command does not reach."""

from __future__ import annotations

import io
import json
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from satsuma.bulk import writers
from satsuma.bulk.errors import JobError
from satsuma.bulk.formats import OutputFormat
from satsuma.bulk.options import VECTOR
from satsuma.bulk.slabs import JSON_MARK
from satsuma.bulk.writers import (
    check_schema,
    final_schema,
    write_jsonl,
    write_npy,
    write_parquet,
    write_vectorize,
)


def part(num_rows: int, **columns: Any) -> Any:
    """A part of two-wide vectors."""
    flat = pa.array(np.arange(2 * num_rows, dtype=np.float32))
    vectors = pa.FixedSizeListArray.from_arrays(flat, 2)
    return pa.table({"id": list(range(num_rows)), **columns, VECTOR: vectors})


def json_column(*values: Any) -> Any:
    """A table of one JSON column."""
    texts = pa.array([None if value is None else json.dumps(value) for value in values])
    return pa.table([texts], schema=pa.schema([pa.field("k", pa.string(), metadata=JSON_MARK)]))


@pytest.mark.parametrize(
    ("kinds", "values", "expected", "type_"),
    [
        ({"int", "null"}, [1, None], [1, None], pa.int64()),
        ({"int", "float"}, [1, 0.5], [1.0, 0.5], pa.float64()),
        ({"bool"}, [True], [True], pa.bool_()),
        ({"str"}, ["a"], ["a"], pa.string()),
        ({"null"}, [None], [None], pa.string()),
        (set(), [], [], pa.string()),
        ({"str", "int"}, ["1", 1], ["1", "1"], pa.string()),
        ({"other"}, [{"a": [1]}], ['{"a":[1]}'], pa.string()),
        ({"bool", "int"}, [True, 1], ["true", "1"], pa.string()),
    ],
)
def test_json_columns_get_the_type_of_all_their_values(
    kinds: set[str], values: list[Any], expected: list[Any], type_: Any
) -> None:
    """Text where they have none in common."""
    table = json_column(*values)
    schema = final_schema(table.schema, {"k": frozenset(kinds)})
    assert schema.field("k").type == type_
    assert writers.as_final(table, schema).column("k").to_pylist() == expected


def test_row_groups_are_made_of_many_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a bounded size, whatever the parts'; empty parts leave no trace."""
    monkeypatch.setattr(writers, "_GROUP_ROWS", 10)
    parts = [part(size) for size in (4, 0, 4, 4, 1)]
    target = io.BytesIO()
    write_parquet(parts, parts[0].schema, {}, target)
    file = parquet.ParquetFile(target)
    assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == [12, 1]


def test_npy_has_the_size_that_it_is_told() -> None:
    """Before the first part is read."""
    parts = [part(2), part(1)]
    target = io.BytesIO()
    write_npy(parts, parts[0].schema, {"vectors": 3}, target)
    target.seek(0)
    np.testing.assert_array_equal(np.load(target), [[0, 1], [2, 3], [0, 1]])


def test_values_that_json_has_not_are_text() -> None:
    """Such as decimals; dates are as ISO 8601 has them."""
    moment = pa.array([0], pa.timestamp("ms", "UTC"))
    target = io.BytesIO()
    row = part(1, d=pa.array([Decimal("1.50")]), t=moment, b=pa.array([b"\xff"]))
    write_jsonl([row], row.schema, {}, target)
    line = json.loads(target.getvalue())
    assert (line["d"], line["t"]) == ("1.50", "1970-01-01T00:00:00+00:00")
    assert line["b"] == "/w=="


@pytest.mark.parametrize("cell", [Decimal("1.50"), b"\xff", date(2020, 1, 2)])
def test_an_id_of_vectorize_is_text(cell: Any) -> None:
    """Whatever Parquet had for it, and without the quotes of JSON."""
    target = io.BytesIO()
    row = part(1).set_column(0, "id", pa.array([cell]))
    write_vectorize([row], row.schema, {}, target)
    assert json.loads(target.getvalue())["id"] in {"1.50", "/w==", "2020-01-02"}


def test_columns_that_a_format_has_not_are_told_first() -> None:
    """Before anything is embedded; the other formats have them."""
    schema = part(1, k=pa.array([{}], pa.struct([]))).schema
    with pytest.raises(JobError, match=r"parquet cannot be written of these columns: .*'k'"):
        check_schema(OutputFormat.PARQUET, schema)
    for kind in set(OutputFormat) - {OutputFormat.PARQUET}:
        check_schema(kind, schema)
