"""Slabs: some rows of a file, column by column, in whatever form their format gives them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
import pyarrow as pa

from satsuma.bulk.cells import to_cells
from satsuma.bulk.errors import InputError

SLAB_ROWS = 1024
SLAB_BYTES = 8 << 20  # or one row, however large
NOT_UTF8 = "not valid UTF-8"

# Marks a column of JSON texts: of JSON Lines, where a column may mix any types.
JSON_MARK = {b"satsuma": b"json"}
_MAX_INT64 = 2**63


def is_json(field_: Any) -> bool:
    """Tell a column of JSON texts, by its field in a schema."""
    return bool((field_.metadata or {}).get(b"satsuma") == b"json")


@dataclass(frozen=True, slots=True)
class Slab:
    """Some rows of one file.

    Attributes:
        label: the file's.
        first_row: number of the first row, counted from 1.
        num_rows: how many they are, bad ones included.
        columns: the cells of each column that was asked for; an Arrow array, or a list.
        bad: reasons why rows cannot be read, by their place here.
        share: how much of the file has been read with them, from 0 to 1.
    """

    label: str
    first_row: int
    num_rows: int
    columns: dict[str, Any]
    bad: dict[int, str] = field(default_factory=dict)
    share: float = 0.0

    def cells(self, name: str) -> list[Any]:
        """Give a column's cells as Python's own values."""
        column = self.columns[name]
        return column if isinstance(column, list) else to_cells(column)

    def take(self, name: str, places: Sequence[int], wanted: Any) -> Any:
        """Give some cells of a column as an Arrow array.

        Args:
            name: the column's.
            places: which rows of the slab.
            wanted: the field in the parts' schema.

        Raises:
            InputError: if the cells do not fit its type.
        """
        column = self.columns[name]
        try:
            if not isinstance(column, list):
                return column.take(pa.array(places, pa.int64())).cast(wanted.type)
            cells = [column[place] for place in places]
            if is_json(wanted):
                cells = [to_json_text(one) for one in cells]
            return pa.array(cells, wanted.type)
        except (pa.ArrowException, TypeError, ValueError) as error:
            raise InputError(
                f"{self.label}, after row {self.first_row}: column {name!r} is no "
                f"{wanted.type}, which it is in the first file: {error}"
            ) from error


def to_json_text(value: Any) -> str | None:
    """Write a value as JSON; null stays null."""
    return None if value is None else orjson.dumps(value).decode()


def kind_of(value: Any) -> str:
    """Name the kind of a JSON value, as far as columns tell them apart."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int" if -_MAX_INT64 <= value < _MAX_INT64 else "other"
    return {float: "float", str: "str", type(None): "null"}.get(type(value), "other")


def require_columns(name: str, columns: Sequence[str], there: Sequence[str]) -> None:
    """Refuse a file that lacks a column, or has two of its name.

    Raises:
        InputError: names the column.
    """
    for column in columns:
        if column not in there:
            listed = ", ".join(map(repr, there))
            raise InputError(f"{name} has no column {column!r}; it has {listed}.")
        if list(there).count(column) > 1:
            raise InputError(f"{name} has more than one column {column!r}.")
