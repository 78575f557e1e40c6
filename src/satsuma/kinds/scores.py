"""Writing scores as numbers that JSON and people can read."""

from __future__ import annotations

from typing import Any

from satsuma.types import FloatArray


def write_scores(rows: FloatArray) -> list[dict[str, Any]]:
    """List the contexts' scores, (B, 1) float32, in the order of the contexts."""
    return [{"id": index, "score": score} for index, score in enumerate(to_numbers(rows))]


def to_numbers(rows: FloatArray) -> list[float]:
    """Give (B, 1) float32 as floats of the fewest digits that read back as the same float32."""
    return [float(str(row[0])) for row in rows]
