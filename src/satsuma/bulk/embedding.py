"""The loop of a job: windows are read ahead, embedded side by side, and kept in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np

from satsuma.bulk.embedder import Embedder
from satsuma.bulk.errors import BadRowError
from satsuma.bulk.job import Job
from satsuma.bulk.parts import Counts, Parts, Vectors, make_part, part_new_rows, part_notes
from satsuma.bulk.progress import Progress
from satsuma.bulk.repeats import Sources
from satsuma.bulk.state import JobState
from satsuma.bulk.windows import BEGINNING, Cursor, RowError, Window
from satsuma.types import EmbedResult


@dataclass(frozen=True, slots=True)
class _Begun:
    """A window under way."""

    window: Window
    sources: Sources
    future: Future[EmbedResult] | None  # None if all its texts are repeated


def embed_windows(
    job: Job, state: JobState, embedder: Embedder, progress: Progress
) -> Iterator[int]:
    """Embed what is left of a job, and yield the number of each part as it is kept.

    Raises:
        BadRowError: if the job is strict, and a row cannot be embedded.
        InputError: if the input cannot be read.
        SatsumaError: if the engine fails.
        OSError: if parts cannot be written.
    """
    first_number, start = _resume_at(state.parts)
    _catch_up(state, first_number)
    progress.begin(state.parts.sum_up().counts)
    under_way: deque[_Begun] = deque()
    for window in job.windows(start, first_number):
        under_way.append(_begin(job, state, embedder, window))
        if len(under_way) >= embedder.num_lists:
            yield _finish(job, state.parts, under_way.popleft(), progress)
    while under_way:
        yield _finish(job, state.parts, under_way.popleft(), progress)


def refuse_kept_bad_rows(parts: Parts) -> None:
    """Stop a strict job at a bad row of a run that was not strict.

    Raises:
        BadRowError: names the first.
    """
    if parts.sum_up().counts.bad:
        for table in parts.read_all():
            _refuse_bad_row(part_notes(table.schema).errors)


def _refuse_bad_row(errors: Sequence[RowError]) -> None:
    if errors:
        first = errors[0]
        raise BadRowError(f"{first.file}, row {first.row}: {first.reason}. --strict stops here.")


def embed_window(
    window: Window, sources: Sources, result: EmbedResult | None, parts: Parts, job: Job
) -> tuple[object, Counts]:
    """Make a window's part of the vectors of its new texts, and of those in earlier parts.

    Returns:
        The part, an Arrow table, and what it came to.
    """
    vectors = np.empty((len(window.texts), job.dimensions), job.vector_dtype)  # (B, D)
    if result is not None:
        new = result.vectors.astype(job.vector_dtype, copy=False)  # (N, D)
        pairs = [(row, one) for row, one in enumerate(sources.rows) if isinstance(one, int)]
        rows, indices = zip(*pairs, strict=True)
        vectors[list(rows)] = new[list(indices)]
    _fill_repeated(vectors, sources, parts)
    counts = Counts.of_window(
        window,
        embedded=len(sources.new_texts),
        tokens=0 if result is None else result.usage.prompt_tokens,
        truncated=0 if result is None else result.num_truncated,
    )
    return make_part(window, vectors, counts, sources.new_rows), counts


def _fill_repeated(vectors: Vectors, sources: Sources, parts: Parts) -> None:
    for row, one in enumerate(sources.rows):
        if not isinstance(one, int):
            vectors[row] = parts.vector(one)


def _resume_at(parts: Parts) -> tuple[int, Cursor]:
    """Tell the number of the first window that has no part, and where it begins."""
    number = parts.count()
    return number, parts.notes(number - 1).next if number else BEGINNING


def _catch_up(state: JobState, num_parts: int) -> None:
    """Tell the index of texts what a killed process had not written into it."""
    for number in range(state.repeats.num_parts, num_parts):
        state.repeats.add(number, part_new_rows(state.parts.read(number).schema))


def _begin(job: Job, state: JobState, embedder: Embedder, window: Window) -> _Begun:
    if job.is_strict:
        _refuse_bad_row(window.errors)
    sources = state.repeats.find_sources(window.number, window.texts)
    future = embedder.submit(sources.new_texts) if sources.new_texts else None
    return _Begun(window, sources, future)


def _finish(job: Job, parts: Parts, begun: _Begun, progress: Progress) -> int:
    window = begun.window
    result = None if begun.future is None else begun.future.result()
    part, counts = embed_window(window, begun.sources, result, parts, job)
    parts.write(window.number, part)
    progress.advance(counts, window.next, window.share)
    return window.number
