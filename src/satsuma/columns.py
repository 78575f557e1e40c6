"""Tables for a terminal: words to the left, numbers to the right."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_GAP = "  "


def align(rows: Iterable[Sequence[str]], *, num_left: int | None = None) -> str:
    """Lay rows out in columns as wide as their widest cell.

    Args:
        rows: alike in length.
        num_left: columns whose cells begin at the left; the others end at the right. None for all.
    """
    lines = list(rows)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(_line(cells, widths, num_left) for cells in lines)


def _line(cells: Sequence[str], widths: Sequence[int], num_left: int | None) -> str:
    split = len(widths) if num_left is None else num_left
    left = [cell.ljust(width) for cell, width in zip(cells[:split], widths, strict=False)]
    right = [cell.rjust(width) for cell, width in zip(cells[split:], widths[split:], strict=True)]
    return _GAP.join([*left, *right]).rstrip()
