"""`--where`: `COLUMN OP VALUE`, decided row by row.

A small grammar on purpose: it names a column, compares with a constant, and runs nothing.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from satsuma.errors import ConfigurationError

_GRAMMAR = re.compile(
    r"""\s*(?P<column>"[^"]+"|[^\s=!<>"']+)\s*
        (?:(?P<null>is\s+(?P<negation>not\s+)?null)
          |(?P<operator>==|!=|<=|>=|=|<|>|contains\s)\s*(?P<value>.*?))\s*""",
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_QUOTES = ("'", '"')
_WORDS = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition.

    Attributes:
        column: whose value is looked at.
        symbol: `=`, `!=`, `<`, `<=`, `>`, `>=`, `contains`, `is null` or `is not null`.
        value: to compare with.
        is_quoted: whether it was in quotes, and so is text whatever it looks like.
    """

    column: str
    symbol: str
    value: str = ""
    is_quoted: bool = False

    def __str__(self) -> str:
        """Spell it in its shortest form, the same for every spelling of one condition."""
        column = self.column if re.fullmatch(r"[^\s=!<>\"']+", self.column) else f'"{self.column}"'
        value = f"'{self.value}'" if self.is_quoted else self.value
        return f"{column} {self.symbol} {value}".rstrip()

    def holds(self, cell: Any) -> bool:
        """Decide about one row; a null meets nothing but `is null`."""
        if self.symbol.startswith("is"):
            return (cell is None) == (self.symbol == "is null")
        if cell is None:
            return False
        if self.symbol == "contains":
            return self.value in _to_text(cell, self.value)
        return _compare(cell, self)


def parse_condition(text: str) -> Condition:
    """Read `COLUMN OP VALUE`.

    Raises:
        ConfigurationError: if it is none; the message has the grammar.
    """
    match = _GRAMMAR.fullmatch(text)
    if match is None:
        raise ConfigurationError(
            f"--where {text!r} is not COLUMN OP VALUE, with OP one of = != < <= > >= contains, "
            "or COLUMN is null, or COLUMN is not null."
        )
    column = match["column"].strip('"')
    if match["null"]:
        return Condition(column, "is not null" if match["negation"] else "is null")
    value, symbol = match["value"], match["operator"].strip().lower()
    is_quoted = len(value) > 1 and value[0] in _QUOTES and value[-1] == value[0]
    symbol = "=" if symbol == "==" else symbol
    return Condition(column, symbol, value[1:-1] if is_quoted else value, is_quoted)


def meets_all(conditions: Sequence[Condition], columns: dict[str, list[Any]]) -> list[bool] | None:
    """Decide about many rows; None if there are no conditions.

    Args:
        conditions: all have to hold.
        columns: the cells of each column that they name, in the rows' order.
    """
    if not conditions:
        return None
    by_condition = (map(one.holds, columns[one.column]) for one in conditions)
    return [all(row) for row in zip(*by_condition, strict=True)]


def _compare(cell: Any, condition: Condition) -> bool:
    """Compare as numbers where both are, as truth values where both are, else as text."""
    compare, value = _COMPARISONS[condition.symbol], condition.value
    if not condition.is_quoted:
        if isinstance(cell, bool) and value.lower() in _WORDS:
            return compare(cell, _WORDS[value.lower()])
        numbers = _to_number(cell), _to_number(value)
        if None not in numbers:
            return compare(*numbers)
    return compare(_to_text(cell, value), value)


def _to_text(cell: Any, value: str) -> str:
    """Spell a cell as a value is: bytes as their text, moments with the value's T or space."""
    if isinstance(cell, bytes):
        return cell.decode(errors="replace")
    if isinstance(cell, datetime):
        return cell.isoformat("T" if "T" in value else " ")
    return str(cell)


def _to_number(value: Any) -> float | int | None:
    if isinstance(value, bool):
        return None
    try:
        return value if isinstance(value, int) else _parse_number(value)
    except (TypeError, ValueError):
        return None


def _parse_number(value: Any) -> float | int:
    try:
        return int(value) if isinstance(value, str) else float(value)
    except ValueError:
        return float(value)
