"""Tables for a terminal."""

from __future__ import annotations

from satsuma.columns import align


def test_words_to_the_left_and_numbers_to_the_right() -> None:
    """Each column as wide as its widest cell, and no line ends in blanks."""
    rows = [("day", "tokens", "note"), ("2026-11-23", "7", ""), ("all", "12,345", "x")]
    assert align(rows, num_left=1).split("\n") == [
        "day         tokens  note",
        "2026-11-23       7",
        "all         12,345     x",
    ]


def test_all_to_the_left_unless_said_otherwise() -> None:
    """As lists of names are."""
    assert align(iter([("a", "bb", "c"), ("aaa", "b", "")])) == "a    bb  c\naaa  b"
