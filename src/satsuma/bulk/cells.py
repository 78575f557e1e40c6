"""Arrow's cells -> Python's own values, JSON and text; and types within types."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import orjson
import pyarrow as pa


def to_cells(column: Any) -> list[Any]:
    """Give a column's cells as Python has them.

    Python's times end at the microsecond: what lies below is cut off, also within lists, structs
    and maps.
    """
    wanted = with_leaves(column.type, _in_microseconds)
    if wanted != column.type:
        column = column.cast(wanted, safe=False)
    cells: list[Any] = column.to_pylist()
    return cells


def to_json(value: Any) -> str:
    """Write what orjson does not know: bytes in base64, anything else as Python shows it."""
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)


def to_text(value: Any) -> str | None:
    """Give a text as it is, anything else as JSON, but without quotes; null stays null."""
    if value is None or isinstance(value, str):
        return value
    written = orjson.dumps(value, default=to_json).decode()
    return str(orjson.loads(written)) if written.startswith('"') else written


def with_leaves(kind: Any, change: Callable[[Any], Any]) -> Any:
    """Change a type, or the types within lists, structs and maps."""
    if pa.types.is_struct(kind):
        fields = (kind.field(number) for number in range(kind.num_fields))
        return pa.struct([_field_with_leaves(one, change) for one in fields])
    if pa.types.is_map(kind):
        key, item = (with_leaves(one, change) for one in (kind.key_type, kind.item_type))
        return pa.map_(key, item)
    for is_kind, make in _LISTS:
        if is_kind(kind):
            return make(_field_with_leaves(kind.value_field, change))
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(_field_with_leaves(kind.value_field, change), kind.list_size)
    return change(kind)


def _field_with_leaves(field: Any, change: Callable[[Any], Any]) -> Any:
    return field.with_type(with_leaves(field.type, change))


def _in_microseconds(kind: Any) -> Any:
    """Give a type whose times Python has."""
    if getattr(kind, "unit", None) != "ns":
        return kind
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", kind.tz)
    return pa.time64("us") if pa.types.is_time(kind) else pa.duration("us")


_LISTS = ((pa.types.is_list, pa.list_), (pa.types.is_large_list, pa.large_list))
