"""Arrow's cells as Python's own values."""

from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from satsuma.bulk.cells import to_cells, to_text

MOMENT = dt.datetime(1970, 1, 1, 0, 0, 0, 1)  # noqa: DTZ001  as Arrow has it, without a zone
STAMP = pa.timestamp("ns")


@pytest.mark.parametrize(
    ("kind", "cell", "expected"),
    [
        (STAMP, 1999, MOMENT),
        (pa.timestamp("ns", "UTC"), 1999, MOMENT.replace(tzinfo=dt.UTC)),
        (pa.time64("ns"), 1999, MOMENT.time()),
        (pa.duration("ns"), 1999, dt.timedelta(microseconds=1)),
        (pa.list_(STAMP), [1999], [MOMENT]),
        (pa.large_list(STAMP), [1999], [MOMENT]),
        (pa.list_(STAMP, 1), [1999], [MOMENT]),
        (pa.struct([("at", pa.list_(STAMP))]), {"at": [1999]}, {"at": [MOMENT]}),
        (pa.map_(pa.string(), STAMP), [("at", 1999)], [("at", MOMENT)]),
        (pa.timestamp("ms"), 0, MOMENT.replace(microsecond=0)),
        (pa.list_(pa.string()), ["a"], ["a"]),
    ],
)
def test_nanoseconds_are_cut_to_what_python_has(kind: Any, cell: Any, expected: Any) -> None:
    """However deep they lie; null stays null, and other types stay what they are."""
    assert to_cells(pa.array([cell, None], kind)) == [expected, None]
    assert to_cells(pa.chunked_array([pa.array([cell], kind)])) == [expected]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ('"a"', '"a"'),
        (True, "true"),
        (2**64 - 1, "18446744073709551615"),
        (dt.date(2020, 1, 2), "2020-01-02"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Decimal("1.50"), "1.50"),
        (b"\xff\0", "/wA="),
        (dt.timedelta(seconds=1), "0:00:01"),
        ([b"a", "b"], '["YQ==","b"]'),
    ],
)
def test_a_value_becomes_a_text(value: Any, expected: str | None) -> None:
    """Whatever Parquet has for an id; without the quotes of JSON."""
    assert to_text(value) == expected
