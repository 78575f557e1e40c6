"""Files -> slabs, in constant memory. Rows that cannot be read are named, and the rest goes on.

Rows are counted from 1 in each file, as a person would.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from satsuma.bulk.formats import InputFormat
from satsuma.bulk.inputs import InputFile
from satsuma.bulk.lines import read_lines
from satsuma.bulk.parquets import read_parquet, read_types
from satsuma.bulk.slabs import JSON_MARK, Slab


def read_slabs(file: InputFile, columns: Sequence[str], skip_rows: int = 0) -> Iterator[Slab]:
    """Read some columns of a file.

    Args:
        file: what to read.
        columns: which ones, the texts' first.
        skip_rows: rows to leave out at the beginning.

    Raises:
        InputError: if the file cannot be read, or lacks a column.
    """
    read = read_parquet if file.format is InputFormat.PARQUET else read_lines
    return read(file, columns, skip_rows)


def read_schema(file: InputFile, columns: Sequence[str]) -> Any:
    """Tell the Arrow types of some columns, as parts keep them.

    Raises:
        InputError: if the file cannot be read, or lacks a column.
    """
    if file.format is InputFormat.PARQUET:
        return read_types(file, columns)
    if file.location is not None:
        next(read_slabs(file, columns), None)  # looks at the header
    mark = JSON_MARK if file.format is InputFormat.JSONL else None
    return pa.schema([pa.field(name, pa.string(), metadata=mark) for name in columns])
