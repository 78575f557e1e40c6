"""What a job is, and the rows that it reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from satsuma.asks import check_dimensions
from satsuma.bulk.chunks import Chunker
from satsuma.bulk.cutting import Cutter
from satsuma.bulk.errors import InputError
from satsuma.bulk.inputs import InputFile
from satsuma.bulk.locations import STANDARD_STREAM, Location
from satsuma.bulk.options import VECTOR, JobOptions, check_options
from satsuma.bulk.plan import Model, make_plan
from satsuma.bulk.publish import is_stream
from satsuma.bulk.readers import read_schema, read_slabs
from satsuma.bulk.slabs import Slab
from satsuma.bulk.targets import ERRORS_SUFFIX, neighbours, refuse_clashes
from satsuma.bulk.windows import BEGINNING, Cursor, Window, side_schema
from satsuma.engine.spans import SpanFinder


@dataclass(frozen=True)
class Job:
    """What is to be done.

    Attributes:
        inputs: at least one file.
        output: where the vectors go; None is standard output.
        options: what the output depends on.
        model: looked up.
        is_strict: stop at a row that cannot be embedded.
        is_restarted: forget what is done.
        may_overwrite: replace an output that is there.
        state: where the job is kept; None chooses.
        errors: where rows without a vector are named; None chooses.
    """

    inputs: tuple[InputFile, ...]
    output: Location | None
    options: JobOptions
    model: Model
    is_strict: bool = False
    is_restarted: bool = False
    may_overwrite: bool = False
    state: Path | None = None
    errors: Location | None = None

    @property
    def plan(self) -> dict[str, Any]:
        """Everything that the output depends on."""
        return make_plan(self.inputs, self.options, self.model)

    @property
    def output_name(self) -> str:
        """What reports call the output."""
        return STANDARD_STREAM if self.output is None else self.output.name

    @property
    def errors_location(self) -> Location | None:
        """Where rows without a vector are named; None if nowhere."""
        if self.errors is not None or self.output is None or is_stream(self.output):
            return self.errors
        return self.output.beside(ERRORS_SUFFIX)

    @property
    def targets(self) -> tuple[Location, ...]:
        """Every file that may be replaced or deleted at the job's end, its output first."""
        beside: tuple[Location, ...] = ()
        if self.output is not None and not is_stream(self.output):
            beside = (self.output, *neighbours(self.output, self.options.output_format))
        errors = self.errors_location
        return beside if errors is None or is_stream(errors) else (*beside, errors)

    @property
    def dimensions(self) -> int:
        """Width D of the vectors."""
        return self.options.dimensions or self.model.traits.hidden_size

    @property
    def vector_dtype(self) -> np.dtype[Any]:
        """The vectors' numbers."""
        return np.dtype(self.options.dtype.value)

    @property
    def max_chunk_tokens(self) -> int:
        """How long a chunk may be, so that the model reads it whole behind its prompt."""
        if self.options.chunk_tokens is None or not self.model.prompt:
            return self.model.traits.max_tokens
        return self.model.traits.max_tokens - len(self._finder.find(self.model.prompt))

    @cached_property
    def side_schema(self) -> Any:
        """The schema of what goes beside the vectors."""
        types = read_schema(self.inputs[0], self.options.columns)
        return side_schema(self.options, types, is_one_file=len(self.inputs) == 1)

    @property
    def part_schema(self) -> Any:
        """The schema of a part."""
        number = pa.from_numpy_dtype(self.vector_dtype)
        return self.side_schema.append(pa.field(VECTOR, pa.list_(number, self.dimensions)))

    def windows(self, start: Cursor = BEGINNING, first_number: int = 0) -> Iterator[Window]:
        """Cut the input into windows, from one of them on.

        Raises:
            InputError: if the input cannot be read.
        """
        cutter = Cutter(self.options, self.side_schema, self._chunker())
        return cutter.cut(self._slabs(start), start, first_number)

    def _slabs(self, start: Cursor) -> Iterator[tuple[int, Slab]]:
        for index, file in enumerate(self.inputs[start.file :], start=start.file):
            skip_rows = start.row if index == start.file else 0
            for slab in read_slabs(file, self.options.columns, skip_rows):
                yield index, slab

    @cached_property
    def _finder(self) -> SpanFinder:
        return SpanFinder(self.model.files.folder / "tokenizer.json")

    def _chunker(self) -> Chunker | None:
        if self.options.chunk_tokens is None:
            return None
        return Chunker(self._finder.find, self.options.chunk_tokens, self.options.overlap_tokens)


def check_job(job: Job) -> None:
    """Refuse what cannot be done, before anything is.

    Raises:
        ConfigurationError: if the options do not go together.
        InvalidInputError: if the model's vectors cannot be cut so.
        InputError: if the first file cannot be read, or lacks a column.
        OutputExistsError: if something that it writes would replace its input.
    """
    check_options(job.options, job.max_chunk_tokens)
    check_dimensions(job.options.dimensions, job.model.traits.hidden_size, job.model.files.manifest)
    refuse_clashes(job.targets, job.inputs)
    if job.inputs[0].location is not None:
        _ = job.side_schema


def check_unchanged(job: Job) -> None:
    """Notice that a file was written to while it was read.

    Raises:
        InputError: names it.
    """
    for one in job.inputs:
        if one.location is None:
            continue
        info = one.location.filesystem.get_file_info(one.location.path)
        if (info.size, info.mtime_ns or 0) != (one.size_bytes, one.modified_ns):
            raise InputError(f"{one.name} was changed meanwhile. Begin anew with --restart.")
