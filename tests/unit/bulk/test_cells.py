"""Arrow's cells as Python's own values."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pyarrow as pa
import pytest

from satsuma.bulk.cells import to_cells

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
