"""Wishes that do not go together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from satsuma.bulk.conditions import parse_condition
from satsuma.bulk.formats import InputFormat, OutputFormat
from satsuma.bulk.options import JobOptions, VectorType, check_options
from satsuma.errors import ConfigurationError


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        ({"overlap_tokens": 3}, "--overlap goes with --chunk"),
        ({"chunk_tokens": 2}, "--chunk must be from 3 to 512"),
        ({"chunk_tokens": 513}, "the most that m reads, not 513"),
        ({"chunk_tokens": 10, "overlap_tokens": 8}, "--overlap must be from 0 to 7"),
        ({"keep": ("vector",)}, "a column of that name of its own"),
        ({"keep": ("id",)}, "--id-column id would fill it"),
        ({"keep": ("start",), "chunk_tokens": 9}, "a column of that name"),
        ({"keep": ("a", "b", "a")}, "--keep a: once is enough"),
        ({"limit": 0}, "--limit must be 1 or more"),
        ({"input_format": InputFormat.LINES, "keep": ("a",)}, "no columns but 'text'"),
        ({"output_format": OutputFormat.VECTORIZE, "keep": ("a.b",)}, "Vectorize's metadata"),
        (
            {"output_format": OutputFormat.VECTORIZE, "dtype": VectorType.FLOAT16},
            "Vectorize keeps float32",
        ),
    ],
)
def test_what_cannot_be_meant_is_explained(
    options: Callable[..., JobOptions], wishes: dict[str, Any], message: str
) -> None:
    """Before anything is done."""
    with pytest.raises(ConfigurationError, match=message):
        check_options(options(**wishes), max_chunk_tokens=512)


def test_what_goes_together_is_let_pass(options: Callable[..., JobOptions]) -> None:
    """An id column may be called id, and be kept."""
    check_options(options(id_column="id", keep=("id", "start"), limit=1), max_chunk_tokens=512)
    check_options(options(chunk_tokens=512, overlap_tokens=509), max_chunk_tokens=512)


def test_each_column_is_read_once(options: Callable[..., JobOptions]) -> None:
    """The texts' first."""
    wishes = options(id_column="k", keep=("a", "text"), where=(parse_condition("a = 1"),))
    assert wishes.columns == ("text", "k", "a")
