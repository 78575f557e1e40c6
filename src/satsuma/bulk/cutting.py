"""Slabs -> windows. Pure.

Where a window ends depends on nothing but the rows from its beginning on, so that a job that was
killed cuts the same windows again, and so does any other process.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from satsuma.bulk.cells import to_text
from satsuma.bulk.chunks import Chunk, Chunker
from satsuma.bulk.conditions import meets_all
from satsuma.bulk.formats import OutputFormat
from satsuma.bulk.options import CHUNK, END, ID, START, JobOptions
from satsuma.bulk.slabs import Slab, is_json, kind_of
from satsuma.bulk.windows import Cursor, RowError, Window

WINDOW_TEXTS = 4096
WINDOW_CHARACTERS = 1 << 17  # half a minute of bge-base on two cores; a kill costs about two
_MAX_VECTORIZE_ID_BYTES = 64
_SHOWN_CHARACTERS = 60


_CHUNK_PARTS = {CHUNK: "number", START: "start", END: "end"}


@dataclass(frozen=True, slots=True)
class Cutter:
    """How rows are taken.

    Attributes:
        options: what is taken.
        schema: of the windows' side; see `windows.side_schema`.
        chunker: cuts texts; None leaves them whole.
    """

    options: JobOptions
    schema: Any
    chunker: Chunker | None = None

    def cut(
        self, slabs: Iterable[tuple[int, Slab]], start: Cursor, first_number: int = 0
    ) -> Iterator[Window]:
        """Cut windows.

        Args:
            slabs: rows with the index of their file, from `start` on.
            start: where the first window begins.
            first_number: its number.
        """
        builder = _Builder(self, first_number, start.num_taken)
        cursor = start
        if builder.is_at_limit:
            return
        for file, slab in slabs:
            rows = _Rows(slab, self)
            for place in range(slab.num_rows):
                builder.add(rows, place)
                cursor = Cursor(file, slab.first_row + place, builder.num_taken)
                if builder.is_full or builder.is_at_limit:
                    yield builder.close(cursor, slab.share)
                if builder.is_at_limit:
                    return
            builder.take_out()
            builder.share = slab.share
        if builder.num_rows or builder.number == 0:
            yield builder.close(cursor, builder.share)

    @property
    def names_files(self) -> bool:
        """Whether the ids of rows without one begin with their file's name."""
        return bool(pa.types.is_string(self.schema.field(ID).type))

    def chunks_of(self, text: str) -> list[Chunk]:
        """Tell what of a text gets vectors: its chunks, or all of it."""
        return [Chunk(0, 0, len(text))] if self.chunker is None else self.chunker.cut(text)


class _Rows:
    """A slab as it is judged: texts, ids and conditions, row by row."""

    def __init__(self, slab: Slab, cutter: Cutter) -> None:
        self.slab = slab
        self.options = options = cutter.options
        self._cutter = cutter
        self.texts = slab.cells(options.column)
        self.ids = None if options.id_column is None else slab.cells(options.id_column)
        named = {one.column: slab.cells(one.column) for one in options.where}
        self._meets = meets_all(options.where, named)

    def is_left_out(self, place: int) -> bool:
        """Tell whether the conditions leave a row out."""
        return self._meets is not None and not self._meets[place]

    def reason_against(self, place: int) -> str | None:
        """Say why a row gets no vector."""
        text = self.texts[place]
        if not isinstance(text, str):
            return f"{self.options.column!r} is {_describe(text)}, not text"
        if not text:
            return f"{self.options.column!r} is empty"
        if self.ids is not None and self.ids[place] is None:
            return f"{self.options.id_column!r}, the id, is null"
        return None

    def reason_against_id(self, place: int, num_chunks: int) -> str | None:
        """Say why a row's vectors, of which there are so many, cannot be named."""
        if self.options.output_format is not OutputFormat.VECTORIZE:
            return None
        suffix = f"#{num_chunks - 1}" if self.options.chunk_tokens else ""
        if len(f"{to_text(self._id_of(place))}{suffix}".encode()) <= _MAX_VECTORIZE_ID_BYTES:
            return None
        with_suffix = f", with {suffix!r}," if suffix else ""
        return f"the id{with_suffix} has more than Vectorize's {_MAX_VECTORIZE_ID_BYTES} bytes"

    def _id_of(self, place: int) -> Any:
        if self.ids is not None:
            return self.ids[place]
        row = self.slab.first_row + place
        return _name_row(self.slab, row) if self._cutter.names_files else row


def _name_row(slab: Slab, row: int) -> str:
    """Tell a row from those of all files."""
    return f"{slab.label}:{row}"


def _describe(value: Any) -> str:
    if value is None:
        return "null"
    shown = str(value)
    return shown if len(shown) <= _SHOWN_CHARACTERS else f"{shown[:_SHOWN_CHARACTERS]}..."


@dataclass(slots=True)
class _Builder:
    """A window in the making."""

    cutter: Cutter
    number: int
    num_taken: int
    share: float = 0.0
    texts: list[str] = field(default_factory=list)
    errors: list[RowError] = field(default_factory=list)
    chunks: list[Chunk] = field(default_factory=list)
    slab: Slab | None = None  # the one that rows are taken from, and which
    places: list[int] = field(default_factory=list)
    pieces: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    kinds: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    num_rows: int = 0
    num_characters: int = 0
    taken_before: int = field(init=False)

    def __post_init__(self) -> None:
        """Begin to count."""
        self.taken_before = self.num_taken

    @property
    def is_full(self) -> bool:
        """Whether it ends here."""
        num_entries = len(self.texts) + len(self.errors)
        return num_entries >= WINDOW_TEXTS or self.num_characters >= WINDOW_CHARACTERS

    @property
    def is_at_limit(self) -> bool:
        """Whether the job ends here."""
        return self.cutter.options.limit is not None and self.num_taken >= self.cutter.options.limit

    def add(self, rows: _Rows, place: int) -> None:
        """Look at a row: leave it out, take it, or note why not."""
        slab = rows.slab
        self.num_rows += 1
        reason = slab.bad.get(place)
        if reason is None and rows.is_left_out(place):
            return
        reason = reason or rows.reason_against(place)
        chunks = [] if reason else self.cutter.chunks_of(rows.texts[place])
        reason = reason or rows.reason_against_id(place, len(chunks))
        if reason is not None:
            self.errors.append(RowError(slab.label, slab.first_row + place, reason))
            return
        self._take(slab, place, rows.texts[place], chunks)

    def _take(self, slab: Slab, place: int, text: str, chunks: Sequence[Chunk]) -> None:
        self.slab = slab
        self.num_taken += 1
        self.num_characters += len(text)
        self.places += [place] * len(chunks)
        self.texts += [text[chunk.start : chunk.end] for chunk in chunks]
        self.chunks += chunks

    def close(self, cursor: Cursor, share: float) -> Window:
        """Finish this window, and begin the next."""
        self.take_out()
        window = Window(
            number=self.number,
            texts=tuple(self.texts),
            side=self._side(),
            errors=tuple(self.errors),
            num_rows=self.num_rows,
            num_taken=self.num_taken - self.taken_before,
            kinds={name: tuple(sorted(kinds)) for name, kinds in self.kinds.items()},
            next=cursor,
            share=share,
        )
        self.texts, self.errors, self.chunks = [], [], []
        self.pieces, self.kinds = defaultdict(list), defaultdict(set)
        self.num_rows = self.num_characters = 0
        self.number, self.taken_before = self.number + 1, self.num_taken
        return window

    def take_out(self) -> None:
        """Copy what was taken of the slab, of which a selective job would otherwise keep many."""
        if self.slab is not None:
            for one in self.cutter.schema:
                self._take_out(one, self.slab)
        self.slab, self.places = None, []

    def _take_out(self, wanted: Any, slab: Slab) -> None:
        if self._is_of_chunks(wanted):
            return
        self.pieces[wanted.name].append(self._cells(wanted, slab, self.places))
        source = self._source(wanted.name)
        if is_json(wanted) and source is not None:
            cells = slab.cells(source)
            self.kinds[wanted.name].update(kind_of(cells[place]) for place in self.places)

    def _is_of_chunks(self, wanted: Any) -> bool:
        return self.cutter.chunker is not None and wanted.name in _CHUNK_PARTS

    def _side(self) -> Any:
        columns = {one.name: self._column(one) for one in self.cutter.schema}
        return pa.table(columns, schema=self.cutter.schema)

    def _column(self, wanted: Any) -> Any:
        if self._is_of_chunks(wanted):
            cells = [getattr(chunk, _CHUNK_PARTS[wanted.name]) for chunk in self.chunks]
            return pa.array(cells, wanted.type)
        return pa.chunked_array(self.pieces[wanted.name], wanted.type).combine_chunks()

    def _cells(self, wanted: Any, slab: Slab, places: Sequence[int]) -> Any:
        source = self._source(wanted.name)
        if source is not None:
            return slab.take(source, places, wanted)
        rows = [slab.first_row + place for place in places]
        if self.cutter.names_files:
            return pa.array([_name_row(slab, row) for row in rows], wanted.type)
        return pa.array(rows, wanted.type)

    def _source(self, name: str) -> str | None:
        """Tell which column of the input fills one of the window's; None for row numbers."""
        return self.cutter.options.id_column if name == ID else name
