"""A job from its first window to its output."""

from __future__ import annotations

import errno
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO

from satsuma.bulk.assembling import publish_output, stream_output, write_errors
from satsuma.bulk.embedder import Embedder
from satsuma.bulk.embedding import embed_windows, refuse_kept_bad_rows
from satsuma.bulk.errors import NoRoomError
from satsuma.bulk.job import Job, check_job, check_unchanged
from satsuma.bulk.locations import Location
from satsuma.bulk.parts import Counts
from satsuma.bulk.progress import Progress, Report
from satsuma.bulk.publish import check_target, is_stream
from satsuma.bulk.state import JobState, is_done, open_state, state_folder
from satsuma.bulk.targets import refuse_existing
from satsuma.bulk.writers import check_schema

MakeEmbedder = Callable[[], AbstractContextManager[Embedder]]
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def run_job(job: Job, make_embedder: MakeEmbedder, progress: Progress) -> Report:
    """Do a job, or what is left of it. Whatever ends it, what is done is kept.

    Args:
        job: what is to be done.
        make_embedder: what embeds; made when there is something to embed.
        progress: is told of every window.

    Raises:
        JobError: if it cannot begin or go on.
        ConfigurationError: if its options do not go together.
        SatsumaError: if the model or the engine fails.
        OSError: if something cannot be written.
    """
    check_job(job)
    if job.output is None or is_stream(job.output):
        with _explained_room("nothing of this run is kept"):
            return _run_to_stream(job, make_embedder, progress)
    with _explained_room("what is done is kept"):
        return _run_to_file(job, job.output, make_embedder, progress)


def _run_to_file(
    job: Job, output: Location, make_embedder: MakeEmbedder, progress: Progress
) -> Report:
    folder = job.state or state_folder(output)
    _check_targets(job, is_resumed=is_done(folder) and not job.is_restarted)
    with _keep_state(job, folder) as state:
        if job.is_strict:
            refuse_kept_bad_rows(state.parts)
        if not state.is_done:
            check_schema(job.options.output_format, job.part_schema)
            with make_embedder() as embedder:
                for _ in embed_windows(job, state, embedder, progress):
                    pass
            check_unchanged(job)
            _check_targets(job, is_resumed=False)  # nobody else's has come meanwhile
            state.note_done()
        summary = publish_output(job, output, state)
        report = _report(job, summary.counts, progress)
        state.remove()
    return report


def _run_to_stream(job: Job, make_embedder: MakeEmbedder, progress: Progress) -> Report:
    """Write parts as they are done; nothing of them is kept when the job ends."""
    _check_targets(job, is_resumed=False)
    with (
        tempfile.TemporaryDirectory(prefix="satsuma-embed-", dir=job.state) as folder,
        _keep_state(job, Path(folder)) as state,
    ):
        check_schema(job.options.output_format, job.part_schema)
        with make_embedder() as embedder, _open_stream(job) as target:
            stream_output(job, state, embed_windows(job, state, embedder, progress), target)
        summary = state.parts.sum_up()
        write_errors(job, state, summary)
        return _report(job, summary.counts, progress)


def _check_targets(job: Job, *, is_resumed: bool) -> None:
    """Notice what could not be written, or must not be replaced: before the work, and after."""
    for one in job.targets:
        check_target(one)
    if not (job.may_overwrite or is_resumed):
        refuse_existing(job.targets)


@contextmanager
def _keep_state(job: Job, folder: Path) -> Iterator[JobState]:
    """Open a job's state; what was begun from a pipe cannot be taken up."""
    is_restarted = job.is_restarted or any(one.location is None for one in job.inputs)
    with open_state(folder, job.plan, is_restarted=is_restarted) as state:
        yield state


@contextmanager
def _open_stream(job: Job) -> Iterator[BinaryIO]:
    path = None if job.output is None else job.output.local_path
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()  # a full disk is noticed here, not at exit
        return
    with path.open("wb") as target:
        yield target


def _report(job: Job, counts: Counts, progress: Progress) -> Report:
    named = job.errors_location if counts.bad else None
    return Report(
        output=job.output_name,
        model=job.model.files.manifest.id,
        counts=counts,
        rows_before=counts.rows - progress.num_rows,
        errors=None if named is None else named.name,
        seconds=progress.seconds,
        tokens_per_s=progress.tokens_per_s,
    )


@contextmanager
def _explained_room(what_is_kept: str) -> Iterator[None]:
    """Say of a full disk what to do about it."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        where = error.filename or "the disk"
        raise NoRoomError(
            f"There is no room left on {where}. Make some, and run the same command again: "
            f"{what_is_kept}."
        ) from error
