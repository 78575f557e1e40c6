"""What is promised, what was measured, and whether the one is the other. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

from satsuma.bench.measure import Spread
from satsuma.columns import align


class Unit(StrEnum):
    """How a figure is written."""

    SHARE = "%"
    RATIO = "times"
    MILLISECONDS = "ms"
    SECONDS = "s"
    MEGABYTES = "MB"


@dataclass(frozen=True, slots=True)
class Target:
    """A promise; one without bounds is measured to be looked at.

    Attributes:
        what: is measured.
        unit: of its figure; a share of 1 is 100 %.
        at_least: the least that will do.
        at_most: the most that will do.
    """

    what: str
    unit: Unit
    at_least: float | None = None
    at_most: float | None = None

    def is_met(self, figure: float) -> bool:
        """Tell whether a figure is within the bounds."""
        is_enough = self.at_least is None or figure >= self.at_least
        return is_enough and (self.at_most is None or figure <= self.at_most)


@dataclass(frozen=True, slots=True)
class Parts:
    """What a figure was made of: medians, so that of ratios it may differ by a little.

    Attributes:
        unit: of both.
        figures: by name, what was divided or subtracted first.
    """

    unit: str
    figures: Mapping[str, float]

    def __str__(self) -> str:
        """Write them for the table."""
        names = ", ".join(f"{name} {_round(value)}" for name, value in self.figures.items())
        return f"{names} {self.unit}"


@dataclass(frozen=True, slots=True)
class Row:
    """A target and its figure.

    Attributes:
        spread: of the samples; None where there is one figure only.
        parts: what the figure was made of; None where it was measured as it is.
    """

    target: Target
    figure: float
    spread: Spread | None = None
    parts: Parts | None = None

    @classmethod
    def of(cls, target: Target, spread: Spread, parts: Parts | None = None) -> Row:
        """Take the median of samples."""
        return cls(target, spread.median, spread, parts)


def format_rows(rows: Sequence[Row]) -> str:
    """Lay out a line a target."""
    return align([("what", "target", "here", "quartiles", "", "of"), *map(_cells, rows)])


def _cells(row: Row) -> tuple[str, ...]:
    target, unit = row.target, row.target.unit
    bounds = [
        f"at {word} {_show(bound, unit)}"
        for word, bound in (("least", target.at_least), ("most", target.at_most))
        if bound is not None
    ]
    spread = row.spread
    quartiles = (
        f"{_show(spread.lower_quartile, unit)} to {_show(spread.upper_quartile, unit)}"
        if spread
        else ""
    )
    missed = "" if target.is_met(row.figure) else "missed"
    shown = _show(row.figure, unit)
    return target.what, ", ".join(bounds), shown, quartiles, missed, str(row.parts or "")


def _show(figure: float, unit: Unit) -> str:
    if unit is Unit.SHARE:
        return f"{figure:.1%}"
    return f"{figure:,.0f} {unit}" if unit is Unit.MEGABYTES else f"{figure:,.2f} {unit}"


def _round(figure: float) -> str:
    return f"{figure:,.0f}" if figure >= 1000 else f"{figure:.4g}"


def to_json(rows: Sequence[Row], **others: object) -> str:
    """Write everything as one line."""
    listed = [asdict(row) | {"is_met": row.target.is_met(row.figure)} for row in rows]
    return json.dumps({"benchmark": "targets", **others, "rows": listed})
