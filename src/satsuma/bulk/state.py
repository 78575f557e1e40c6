"""The folder in which a job is kept until it is done: its plan, parts, index and lock."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import platformdirs
from filelock import FileLock, Timeout

from satsuma.bulk.errors import JobDiffersError, JobError, JobLockedError
from satsuma.bulk.locations import STATE_SUFFIX, Location
from satsuma.bulk.parts import Parts, sync_folder
from satsuma.bulk.plan import differences
from satsuma.bulk.publish import SCRATCH_FILES
from satsuma.bulk.repeats import RepeatIndex

_PLAN, _LOCK, _PARTS, _REPEATS, _DONE = "plan.json", "lock", "parts", "repeats.sqlite", "done"
_NAME_DIGITS = 16


def state_folder(output: Location) -> Path:
    """Choose where a job is kept: beside its output, or in the cache if that is elsewhere."""
    if output.local_path is not None:
        return output.local_path.with_name(output.local_path.name + STATE_SUFFIX)
    name = hashlib.sha256(output.name.encode()).hexdigest()[:_NAME_DIGITS]
    return platformdirs.user_cache_path("satsuma", appauthor=False) / "jobs" / name


def is_done(folder: Path) -> bool:
    """Tell whether a job only lacks its output, or the end of its folder."""
    return (folder / _DONE).is_file()


class JobState:
    """A job that this process holds the lock of."""

    def __init__(self, folder: Path) -> None:
        """Take what there is; `open_state` makes them."""
        self.folder = folder
        self.parts = Parts(folder / _PARTS)
        self.repeats = RepeatIndex(folder / _REPEATS)

    @property
    def is_done(self) -> bool:
        """Whether every window has its part, so that only the output is to be made of them."""
        return is_done(self.folder)

    def note_done(self) -> None:
        """Remember that every window has its part."""
        _write_whole(self.folder / _DONE, b"")

    def remove(self) -> None:
        """Forget the job; its output is where it belongs."""
        self.repeats.close()
        (self.folder / _PLAN).unlink()  # first, so that nobody takes half of it for a job
        _clear(self.folder)


@contextmanager
def open_state(
    folder: Path, plan: Mapping[str, Any], *, is_restarted: bool = False
) -> Iterator[JobState]:
    """Hold a job's folder; it is made, or taken up where the same job was left.

    Args:
        folder: where it is kept.
        plan: what its output depends on.
        is_restarted: forget what is there.

    Raises:
        JobLockedError: if another process holds it.
        JobDiffersError: if it belongs to another job.
        JobError: if the folder is somebody else's.
        OSError: if it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _check_ours(folder)
    with _locked(folder):
        if is_restarted or not _has_begun(folder):
            _clear(folder)
            _write_whole(folder / _PLAN, orjson.dumps(plan, option=orjson.OPT_INDENT_2))
        _compare(folder, plan)
        state = JobState(folder)
        try:
            yield state
        finally:
            state.repeats.close()
            if not (folder / _PLAN).is_file():
                (folder / _LOCK).unlink(missing_ok=True)
                folder.rmdir()


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    lock = FileLock(folder / _LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        message = f"Another satsuma embed works on this output; it holds {folder / _LOCK}."
        raise JobLockedError(message) from None
    try:
        yield
    finally:
        lock.release()


def _has_begun(folder: Path) -> bool:
    """Tell a job that has something to go on with."""
    return (folder / _PLAN).is_file() and (is_done(folder) or any((folder / _PARTS).glob("*")))


def _check_ours(folder: Path) -> None:
    """Refuse a folder with anything in it that no job left, before something is deleted."""
    ours = {_PLAN, _LOCK, _PARTS, _DONE, *SCRATCH_FILES}
    others = [path.name for path in folder.iterdir() if path.name not in ours]
    strange = [name for name in others if not name.startswith((_REPEATS, f".{_PLAN}", f".{_DONE}"))]
    if strange:
        raise JobError(f"{folder} is no folder of a job: it holds {min(strange)}.")


def _compare(folder: Path, plan: Mapping[str, Any]) -> None:
    try:
        begun = orjson.loads((folder / _PLAN).read_bytes())
    except orjson.JSONDecodeError as error:
        raise JobDiffersError(f"{folder / _PLAN} is damaged. Begin anew with --restart.") from error
    now = orjson.loads(orjson.dumps(plan))
    if begun != now:
        told = "; ".join(differences(begun, now))
        raise JobDiffersError(
            f"What was begun for this output was another job: {told}. "
            "Run that again to go on with it, or begin anew with --restart."
        )


def _clear(folder: Path) -> None:
    """Delete everything but the lock that is held."""
    for path in folder.iterdir():
        if path.name == _LOCK:
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _write_whole(path: Path, content: bytes) -> None:
    partial = path.with_name(f".{path.name}")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    sync_folder(path.parent)
