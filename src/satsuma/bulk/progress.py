"""How far a job is, as a bar and as a report."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any, Self

from tqdm import tqdm  # type: ignore[import-untyped]  # it ships no types

from satsuma.bulk.inputs import InputFile
from satsuma.bulk.parts import Counts
from satsuma.bulk.windows import Cursor

_BAR = "{desc}{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} rows [{elapsed}<{remaining}{postfix}]"
_ENDLESS_BAR = "{desc}{n_fmt} rows [{elapsed}{postfix}]"


@dataclass(frozen=True, slots=True)
class Report:
    """What a job came to.

    Attributes:
        output: its name.
        model: its id.
        counts: of all runs of the job.
        rows_before: rows that earlier runs had done.
        errors: where the rows without a vector are named; None if there are none.
        seconds: of this run.
        tokens_per_s: of this run, without loading the model and writing the output.
    """

    output: str
    model: str
    counts: Counts
    rows_before: int
    errors: str | None
    seconds: float
    tokens_per_s: float

    def to_json(self) -> dict[str, Any]:
        """Spell it as the last line does."""
        return {
            "output": self.output,
            "model": self.model,
            **asdict(self.counts),
            "repeated": self.counts.repeated,
            "rows_before": self.rows_before,
            "errors": self.errors,
            "seconds": round(self.seconds, 3),
            "tokens_per_s": round(self.tokens_per_s, 1),
        }


class Progress:
    """Counts what is done, and shows it on a bar if that is wanted."""

    def __init__(
        self,
        inputs: Sequence[InputFile],
        *,
        is_shown: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin at nothing.

        Args:
            inputs: all files, whose sizes tell how much is left.
            is_shown: whether there is a bar.
            clock: seconds that only grow.
        """
        self._sizes = [one.size_bytes for one in inputs]
        self._clock = clock
        self._is_shown = is_shown
        self._bar: Any = None
        self._begun_at_s = clock()
        self._first_at_s = self._last_at_s = self._begun_at_s
        self.before = Counts()
        self.done = Counts()

    def begin(self, before: Counts) -> None:
        """Start to count, from what earlier runs have done."""
        self.before = self.done = before
        self._first_at_s = self._last_at_s = self._clock()
        self._bar = tqdm(
            initial=before.rows,
            unit="row",
            disable=not self._is_shown,
            bar_format=_BAR if all(self._sizes) else _ENDLESS_BAR,
            dynamic_ncols=True,
        )

    def advance(self, counts: Counts, cursor: Cursor, share: float) -> None:
        """Count a window.

        Args:
            counts: what it came to.
            cursor: where the next one begins.
            share: how much of that file has been read, from 0 to 1.
        """
        self.done += counts
        self._last_at_s = self._clock()
        rate = self.tokens_per_s
        self._bar.total = self._expected_rows(cursor.file, share)
        self._bar.set_postfix_str(f"{self.done.tokens:,} tokens, {rate:,.0f}/s", refresh=False)
        self._bar.update(counts.rows)

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return self._clock() - self._begun_at_s

    @property
    def num_rows(self) -> int:
        """Done in this run."""
        return self.done.rows - self.before.rows

    @property
    def tokens_per_s(self) -> float:
        """Of this run, from the first window to the last."""
        tokens = self.done.tokens - self.before.tokens
        return tokens / max(self._last_at_s - self._first_at_s, 1e-9)

    def _expected_rows(self, file: int, share: float) -> int | None:
        """Guess how many rows there are, from how much of the bytes they were found in."""
        total = sum(self._sizes)
        read = sum(self._sizes[:file]) + share * self._sizes[file]
        return max(self.done.rows, round(self.done.rows * total / read)) if read else None

    def __enter__(self) -> Self:
        """Use as a context manager, which ends the bar."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        """End the bar where it is."""
        if self._bar is not None:
            self._bar.close()
