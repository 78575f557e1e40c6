"""Arrow's cells -> Python's own values."""

from __future__ import annotations

from typing import Any

import pyarrow as pa


def to_cells(column: Any) -> list[Any]:
    """Give a column's cells as Python has them.

    Python's times end at the microsecond: what lies below is cut off, also within lists, structs
    and maps.
    """
    wanted = _in_microseconds(column.type)
    if wanted != column.type:
        column = column.cast(wanted, safe=False)
    cells: list[Any] = column.to_pylist()
    return cells


def _in_microseconds(kind: Any) -> Any:
    """Give a type whose times Python has."""
    if getattr(kind, "unit", None) == "ns":
        return _time_in_microseconds(kind)
    if pa.types.is_struct(kind):
        fields = (kind.field(number) for number in range(kind.num_fields))
        return pa.struct([one.with_type(_in_microseconds(one.type)) for one in fields])
    if pa.types.is_map(kind):
        return pa.map_(_in_microseconds(kind.key_type), _in_microseconds(kind.item_type))
    for is_kind, make in _LISTS:
        if is_kind(kind):
            return make(kind.value_field.with_type(_in_microseconds(kind.value_type)))
    if pa.types.is_fixed_size_list(kind):
        one = kind.value_field
        return pa.list_(one.with_type(_in_microseconds(one.type)), kind.list_size)
    return kind


def _time_in_microseconds(kind: Any) -> Any:
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", kind.tz)
    return pa.time64("us") if pa.types.is_time(kind) else pa.duration("us")


_LISTS = ((pa.types.is_list, pa.list_), (pa.types.is_large_list, pa.large_list))
