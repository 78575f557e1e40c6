"""How far a job is."""

from __future__ import annotations

import pytest

from satsuma.bulk.formats import InputFormat
from satsuma.bulk.inputs import InputFile
from satsuma.bulk.locations import locate
from satsuma.bulk.parts import Counts
from satsuma.bulk.progress import Progress
from satsuma.bulk.windows import Cursor


def files(*sizes: int) -> list[InputFile]:
    """Inputs of these sizes."""
    place = locate("x.csv")
    return [InputFile(place, "x", InputFormat.CSV, size_bytes=size) for size in sizes]


def test_the_rate_is_this_runs() -> None:
    """From the first window to the last, without what earlier runs have done."""
    now_s = 0.0
    with Progress(files(100), is_shown=False, clock=lambda: now_s) as progress:
        now_s = 5.0
        progress.begin(Counts(rows=10, tokens=1000))
        now_s = 7.0
        progress.advance(Counts(rows=4, tokens=60), Cursor(), 0.5)
        now_s = 100.0
        assert progress.tokens_per_s == 30.0
        assert (progress.num_rows, progress.done.rows, progress.seconds) == (4, 14, 100.0)


def test_a_bar_shows_rows_tokens_and_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    """The number of rows is guessed from how much of the bytes was read."""
    with Progress(files(300, 100), is_shown=True) as progress:
        progress.begin(Counts())
        progress.advance(Counts(rows=30, tokens=600), Cursor(file=0), 1.0)
    shown = capsys.readouterr().err
    assert "75%" in shown
    assert "30/40 rows" in shown
    assert "600 tokens" in shown


def test_a_pipe_has_no_end(capsys: pytest.CaptureFixture[str]) -> None:
    """So nothing is said of it."""
    with Progress(files(0), is_shown=True) as progress:
        progress.begin(Counts())
        progress.advance(Counts(rows=30, tokens=600), Cursor(), 0.0)
    assert "30 rows [" in capsys.readouterr().err


def test_nothing_is_shown_unless_asked(capsys: pytest.CaptureFixture[str]) -> None:
    """Not even a line at the end."""
    with Progress(files(100), is_shown=False) as progress:
        progress.begin(Counts())
        progress.advance(Counts(rows=30), Cursor(), 0.5)
    assert capsys.readouterr().err == ""
