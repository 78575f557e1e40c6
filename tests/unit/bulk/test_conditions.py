"""`--where`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from satsuma.bulk.conditions import meets_all, parse_condition
from satsuma.errors import ConfigurationError

MOMENT = datetime(2020, 1, 2, 4, tzinfo=UTC)


@pytest.mark.parametrize(
    ("condition", "cell", "holds"),
    [
        ("year >= 2020", "2020", True),
        ("year >= 2020", "999", False),  # as numbers, not as text
        ("year >= '2020'", "999", True),  # in quotes: as text
        ("year < 1e3", 999.5, True),
        ("year=2020", 2020, True),
        ("year == 2020", 2020.0, True),
        ("lang = en", "en", True),
        ("lang != en", "de", True),
        ("lang != en", None, False),
        ('title = "a = b"', "a = b", True),
        ('"the title" = x', "x", True),
        ("title contains cat", "concatenate", True),
        ("title CONTAINS cat", "dog", False),
        ("title is null", None, True),
        ("title is null", "", False),
        ("title IS NOT NULL", "", True),
        ("is_new = true", True, True),
        ("is_new = true", False, False),
        ("is_new = true", "true", True),
        ("name =", "", True),
        ("name = x", b"x", True),
        ("name contains x", b"\xffx", True),
        ("at > 2020-01-02T03", MOMENT, True),
        ("at > 2020-01-02T05", MOMENT, False),
        ("at < '2020-01-02 05'", MOMENT, True),
        ("at > 2020-01-02", MOMENT, True),
    ],
)
def test_a_condition_decides(condition: str, cell: Any, holds: bool) -> None:
    """As numbers where both are, else as text; a null meets nothing but `is null`."""
    assert parse_condition(condition).holds(cell) is holds


@pytest.mark.parametrize("text", ["", "year", "= 5", "a like b", "a; drop table b"])
def test_what_is_no_condition_is_explained(text: str) -> None:
    """With the grammar."""
    with pytest.raises(ConfigurationError, match="COLUMN OP VALUE"):
        parse_condition(text)


def test_all_have_to_hold() -> None:
    """Row by row; no conditions decide nothing."""
    both = (parse_condition("a > 1"), parse_condition("b = x"))
    assert meets_all(both, {"a": [1, 2, 3], "b": ["x", "x", "y"]}) == [False, True, False]
    assert meets_all((), {}) is None


@given(
    st.sampled_from(["a", "a.b", "two words"]),
    st.sampled_from(["=", "!=", "<", "<=", ">", ">=", "contains"]),
    st.text(st.characters(exclude_characters="\"'", exclude_categories=["Cs", "Cc", "Zs"])),
)
def test_a_condition_is_what_it_says(column: str, symbol: str, value: str) -> None:
    """Its spelling, read again, is the same condition."""
    condition = parse_condition(f'"{column}" {symbol} {value}')
    assert parse_condition(str(condition) + (" " if not value else "")) == condition
