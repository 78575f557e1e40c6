"""A job's parts -> its output, and the files beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any, BinaryIO

import orjson

from satsuma.bulk.formats import OutputFormat
from satsuma.bulk.job import Job
from satsuma.bulk.locations import Location
from satsuma.bulk.parts import Summary, part_notes
from satsuma.bulk.plan import output_metadata
from satsuma.bulk.publish import is_stream, publish, retract
from satsuma.bulk.state import JobState
from satsuma.bulk.targets import IDS_SUFFIX, METADATA_SUFFIX, TELLS_ITSELF
from satsuma.bulk.windows import RowError
from satsuma.bulk.writers import WRITERS, final_schema, write_ids

_JSON = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE


def publish_output(job: Job, output: Location, state: JobState) -> Summary:
    """Let a job's output appear, after what goes beside it.

    Returns:
        What its parts came to.

    Raises:
        JobError: if a store does not take it.
        OSError: if it cannot be written.
    """
    summary = state.parts.sum_up()
    metadata = _metadata(job, summary)
    write_errors(job, state, summary)
    kind = job.options.output_format
    if kind not in TELLS_ITSELF:
        content = orjson.dumps(metadata, option=_JSON)
        place = output.beside(METADATA_SUFFIX)
        publish(place, state.folder, lambda target: _write(target, content))
    if kind is OutputFormat.NPY:
        place = output.beside(IDS_SUFFIX)
        publish(place, state.folder, lambda target: write_ids(state.parts.read_all(), target))
    schema = final_schema(job.part_schema, summary.kinds)

    def write(target: BinaryIO) -> None:
        WRITERS[kind](state.parts.read_all(), schema, metadata, target)

    publish(output, state.folder, write)
    return summary


def stream_output(job: Job, state: JobState, numbers: Iterator[int], target: BinaryIO) -> None:
    """Write parts as they come; npy alone waits for the last, since it begins with their number.

    Args:
        job: whose parts.
        state: where they are.
        numbers: of each part that is done, in order.
        target: where they go.

    Raises:
        OSError: if it cannot be written; BrokenPipeError if nobody reads any more.
    """
    kind = job.options.output_format
    if kind is OutputFormat.NPY:
        numbers = iter(list(numbers))
        metadata = _metadata(job, state.parts.sum_up())
    else:
        metadata = output_metadata(job.plan)
    tables = map(state.parts.read, numbers)
    WRITERS[kind](tables, final_schema(job.part_schema, {}), metadata, target)


def write_errors(job: Job, state: JobState, summary: Summary) -> None:
    """Name the rows that have no vector, in a file that is there only if there are some.

    An earlier run's is deleted only under the name that satsuma chose; under one that the user
    chose, it becomes empty.
    """
    place = job.errors_location
    if place is None:
        return

    def write(target: BinaryIO) -> None:
        for table in state.parts.read_all():
            target.writelines(map(_line, part_notes(table.schema).errors))

    path = place.local_path
    if path is not None and is_stream(place):
        with path.open("wb") as target:
            write(target)
    elif summary.counts.bad or (job.errors is not None and place.exists()):
        publish(place, state.folder, write)
    else:
        retract(place)


def _metadata(job: Job, summary: Summary) -> Mapping[str, Any]:
    sizes = {"dimensions": job.dimensions, "vectors": summary.counts.vectors}
    return output_metadata(job.plan) | sizes


def _line(error: RowError) -> bytes:
    return orjson.dumps(asdict(error), option=orjson.OPT_APPEND_NEWLINE)


def _write(target: BinaryIO, content: bytes) -> None:
    target.write(content)
