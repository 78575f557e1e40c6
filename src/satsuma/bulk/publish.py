"""Files that appear as a whole or not at all, here or in an object store."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from satsuma.bulk.errors import JobError
from satsuma.bulk.locations import BUFFER_BYTES, Location
from satsuma.bulk.parts import sync_folder

Write = Callable[[BinaryIO], None]
_UPLOAD = "upload"
_UPLOAD_PARTIAL = f".{_UPLOAD}.partial"
SCRATCH_FILES = (_UPLOAD, _UPLOAD_PARTIAL)  # may be left by a kill


def check_target(output: Location) -> None:
    """Notice before the work is done that its result could not be kept.

    Raises:
        JobError: if so.
    """
    path = output.local_path
    if path is None:
        return
    if path.is_dir():
        raise JobError(f"{output.name} is a folder; name a file in it.")
    if not path.parent.is_dir():
        raise JobError(f"{output.name} cannot be written: there is no folder {path.parent}.")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise JobError(f"{output.name} cannot be written: {path.parent} is not writable.")


def publish(target: Location, scratch: Path, write: Write) -> None:
    """Write a file, and let it appear when all of it is on the disk or in the store.

    Args:
        target: where it appears.
        scratch: the job's own folder, which tells its halves from those of others; for what goes to
            a store, which gets whole files only.
        write: writes the content.

    Raises:
        JobError: if the store does not take it.
        OSError: if it cannot be written.
    """
    path = target.local_path
    if path is not None:
        whole = path.resolve()
        _write_whole(whole, whole.with_name(_partial_name(whole, scratch)), write)
        return
    copy = scratch / _UPLOAD
    try:
        _write_whole(copy, scratch / _UPLOAD_PARTIAL, write)
        _upload(copy, target)
    finally:
        copy.unlink(missing_ok=True)


def retract(target: Location) -> None:
    """Delete a file that an earlier job may have left."""
    if target.exists():
        target.filesystem.delete_file(target.path)


def _partial_name(path: Path, scratch: Path) -> str:
    """Name what is half written: the same when a job goes on, another for each job."""
    digest = hashlib.blake2b(os.fsencode(scratch.resolve() / path.name), digest_size=8)
    return f".satsuma-{digest.hexdigest()}.partial"


def _write_whole(path: Path, partial: Path, write: Write) -> None:
    try:
        with partial.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    sync_folder(path.parent)


def _upload(copy: Path, target: Location) -> None:
    """Send a file in a thread of its own.

    pyarrow's stream completes an upload whenever it is closed, after an exception too. So nothing
    here closes it but success: Ctrl-C leaves the thread to the end of the process, and with it an
    upload that the store never shows.
    """
    failures: list[BaseException] = []
    sender = threading.Thread(target=_send, args=(copy, target, failures), daemon=True)
    sender.start()
    sender.join()
    if failures:
        raise JobError(f"{target.name} cannot be written: {failures[0]}") from failures[0]
    if target.filesystem.get_file_info(target.path).size != copy.stat().st_size:
        raise JobError(f"{target.name} did not arrive whole. Run the same command again.")


_ABANDONED: list[object] = []  # uploads that failed, kept from being closed by their end


def _send(copy: Path, target: Location, failures: list[BaseException]) -> None:
    try:
        stream = target.filesystem.open_output_stream(target.path, compression=None)
    except (OSError, pa.ArrowException) as error:
        failures.append(error)
        return
    try:
        with copy.open("rb") as file:
            shutil.copyfileobj(file, stream, BUFFER_BYTES)
        stream.close()
    except (OSError, pa.ArrowException) as error:
        _ABANDONED.append(stream)
        failures.append(error)


def is_stream(output: Location) -> bool:
    """Tell a pipe or a device, which is written as it is, from a file."""
    path = output.local_path
    return path is not None and path.exists() and not path.is_file() and not path.is_dir()
