"""Where files lie: on this machine or in an object store.

`s3://` and `gs://` are pyarrow's file systems, which take credentials, region and endpoint from the
environment as the vendors' tools do, or from the URI: `s3://bucket/key?endpoint_override=...`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import fs

from satsuma.bulk.errors import InputError

STANDARD_STREAM = "-"
STATE_SUFFIX = ".satsuma"  # of the folder in which a job is kept
BUFFER_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Location:
    """A file, or where one may be.

    Attributes:
        name: as the user wrote it, or as it was found.
        filesystem: pyarrow's.
        path: within it.
    """

    name: str
    filesystem: Any
    path: str

    @property
    def local_path(self) -> Path | None:
        """Where it lies on this machine; None if it does not."""
        return Path(self.path) if isinstance(self.filesystem, fs.LocalFileSystem) else None

    def exists(self) -> bool:
        """Tell whether there is anything."""
        return bool(self.filesystem.get_file_info(self.path).type != fs.FileType.NotFound)

    def is_same(self, other: Location) -> bool:
        """Tell whether two names stand for one file, through links and other spellings too."""
        mine, others = self.local_path, other.local_path
        if mine is None or others is None:
            return self.path == other.path and bool(self.filesystem == other.filesystem)
        if mine.exists() and others.exists():
            return mine.samefile(others)
        return mine.resolve() == others.resolve()

    def beside(self, suffix: str) -> Location:
        """Name a neighbour by an ending that is added."""
        name, found, query = self.name.partition("?") if "://" in self.name else (self.name, "", "")
        return Location(f"{name}{suffix}{found}{query}", self.filesystem, self.path + suffix)


def locate(name: str) -> Location:
    """Find the file system of a name.

    Raises:
        InputError: if it is a URI that pyarrow does not know, or no UTF-8.
    """
    is_local = "://" not in name
    path = str(Path(name).expanduser().absolute()) if is_local else name
    if not is_utf8(path):
        shown = os.fsencode(path).decode(errors="backslashreplace")
        raise InputError(f"{shown} cannot be opened: its name is not valid UTF-8.")
    if is_local:
        return Location(name, fs.LocalFileSystem(), path)
    try:
        filesystem, path = fs.FileSystem.from_uri(name)
    except (pa.ArrowException, ValueError, OSError) as error:
        raise InputError(f"{name} cannot be opened: {error}") from error
    return Location(name, filesystem, path)


def is_utf8(name: str) -> bool:
    """Tell a name from one whose bytes Python has put in as lone surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
