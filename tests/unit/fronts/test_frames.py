"""Messages in a stream of bytes, however it is cut."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from satsuma.fronts.frames import FrameReader, write_frame

MESSAGES = [(0, 1, "embed", ("me", "grüße \ud800")), (), b"\x00" * 70_000, None]


@given(st.lists(st.integers(0, 80_000), max_size=8))
def test_any_cut_gives_the_same_messages(cuts: list[int]) -> None:
    """Whole ones come out as soon as they are whole, in order."""
    stream = b"".join(map(write_frame, MESSAGES))
    places = [0, *sorted(min(one, len(stream)) for one in cuts), len(stream)]
    reader = FrameReader()
    found = []
    for start, end in itertools.pairwise(places):
        found += reader.feed(stream[start:end])
    assert found == MESSAGES


@pytest.mark.parametrize("num_bytes", [1, 4, 10])
def test_what_is_not_whole_waits(num_bytes: int) -> None:
    """Its length alone is no message yet."""
    frame = write_frame("a message of some length")
    reader = FrameReader()
    assert reader.feed(frame[:num_bytes]) == []
    assert reader.feed(frame[num_bytes:] + frame) == 2 * ["a message of some length"]
