"""Where files lie: on this machine or in an object store, and what a name stands for there.

`s3://` and `gs://` are pyarrow's file systems, which take credentials, region and endpoint from the
environment as the vendors' tools do, or from the URI: `s3://bucket/key?endpoint_override=...`.
"""

from __future__ import annotations

import fnmatch
import io
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa
from pyarrow import fs

from satsuma.bulk.errors import InputError
from satsuma.bulk.formats import (
    Compression,
    InputFormat,
    is_readable,
    sniff_compression,
    tell_compression,
    tell_input,
)

STANDARD_STREAM = "-"
STATE_SUFFIX = ".satsuma"  # of the folder in which a job is kept
BUFFER_BYTES = 1 << 20
_WILDCARDS = re.compile(r"[*?\[]")
_HIDDEN = (".", "_")  # what Spark and others leave beside their files


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


@dataclass(frozen=True, slots=True)
class InputFile:
    """One file to read.

    Attributes:
        location: where it lies; None is standard input.
        label: what rows of it are told apart by: its name, below the folder that was given.
        format: what it holds.
        compression: what is around that.
        size_bytes: 0 for standard input.
        modified_ns: when it was last written; 0 for standard input.
    """

    location: Location | None
    label: str
    format: InputFormat
    compression: Compression = Compression.NONE
    size_bytes: int = 0
    modified_ns: int = 0

    @property
    def name(self) -> str:
        """What errors call it."""
        return "standard input" if self.location is None else self.location.name

    def identity(self) -> dict[str, Any]:
        """What tells a changed file from the one that was begun with."""
        size, modified = self.size_bytes, self.modified_ns
        return {"name": self.name, "size_bytes": size, "modified_ns": modified}


def locate(name: str) -> Location:
    """Find the file system of a name.

    Raises:
        InputError: if it is a URI that pyarrow does not know, or no UTF-8.
    """
    is_local = "://" not in name
    path = str(Path(name).expanduser().absolute()) if is_local else name
    if not _is_utf8(path):
        shown = os.fsencode(path).decode(errors="backslashreplace")
        raise InputError(f"{shown} cannot be opened: its name is not valid UTF-8.")
    if is_local:
        return Location(name, fs.LocalFileSystem(), path)
    try:
        filesystem, path = fs.FileSystem.from_uri(name)
    except (pa.ArrowException, ValueError, OSError) as error:
        raise InputError(f"{name} cannot be opened: {error}") from error
    return Location(name, filesystem, path)


def find_inputs(
    name: str, wanted: InputFormat | None, leave_out: Sequence[Location] = ()
) -> tuple[InputFile, ...]:
    """Find what a file, a folder, a glob or `-` stands for, in the order of their paths.

    Args:
        name: as the user wrote it.
        wanted: what the files hold; None goes by their names.
        leave_out: files that a folder or a glob does not stand for.

    Raises:
        InputError: if that is nothing, or files of several formats.
    """
    if name == STANDARD_STREAM:
        return (InputFile(None, STANDARD_STREAM, tell_input(name, wanted)),)
    try:
        files = tuple(_find(name, wanted, leave_out))
    except OSError as error:
        raise InputError(f"{name} cannot be read: {error}") from error
    if not files:
        raise InputError(f"{name} has no file of a known format.")
    formats = sorted({one.format for one in files})
    if len(formats) > 1:
        raise InputError(f"{name} has {' and '.join(formats)} files; choose with a glob.")
    return files


def _find(
    name: str, wanted: InputFormat | None, leave_out: Sequence[Location]
) -> Iterator[InputFile]:
    base, pattern = _split_glob(name)
    top = locate(base)
    info = top.filesystem.get_file_info(top.path)
    if info.type == fs.FileType.File:
        yield _input_file(top, info, Path(info.path).name, wanted)
        return
    if info.type == fs.FileType.NotFound and pattern is None:
        raise InputError(f"{name}: there is no such file or folder.")
    selector = fs.FileSelector(top.path, allow_not_found=True, recursive=True)
    for one in sorted(_named(top, selector, pattern, wanted), key=lambda found: found.path):
        label = one.path[len(top.path) :].lstrip("/")
        if one.type == fs.FileType.File and _is_chosen(label, pattern, wanted):
            place = Location(
                f"{base.partition('?')[0].rstrip('/')}/{label}", top.filesystem, one.path
            )
            if not any(map(place.is_same, leave_out)):
                yield _input_file(place, one, label, wanted)


def _named(
    top: Location, selector: Any, pattern: str | None, wanted: InputFormat | None
) -> Iterator[Any]:
    """List a folder, without what has no name in UTF-8.

    Raises:
        InputError: if that is a file that would be read: pyarrow cannot open it.
    """
    for one in top.filesystem.get_file_info(selector):
        try:
            _ = one.path
        except UnicodeDecodeError:
            _refuse_unnamed(top.path, pattern, wanted)
        else:
            yield one


def _refuse_unnamed(folder: str, pattern: str | None, wanted: InputFormat | None) -> None:
    for parent, _, names in os.walk(folder):
        for path in (Path(parent, name) for name in names):
            label = str(path.relative_to(folder))
            if not _is_utf8(label) and _is_chosen(label, pattern, wanted):
                locate(str(path))


def _is_utf8(name: str) -> bool:
    """Tell a name from one whose bytes Python has put in as lone surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _split_glob(name: str) -> tuple[str, str | None]:
    """Split a glob into the folder before its first wildcard, and the rest."""
    bare, found, query = name.partition("?") if "://" in name else (name, "", "")
    match = _WILDCARDS.search(bare)
    if match is None or ("://" not in name and Path(name).exists()):
        return name, None
    folder, _, _ = bare[: match.start()].rpartition("/")
    is_absolute = bare.startswith("/")
    start = len(folder) + 1 if folder or is_absolute else 0
    return (folder or ("/" if is_absolute else ".")) + found + query, bare[start:]


def _is_chosen(label: str, pattern: str | None, wanted: InputFormat | None) -> bool:
    if any(part.endswith(STATE_SUFFIX) for part in label.split("/")[:-1]):
        return False
    if pattern is not None:
        return len(label.split("/")) == len(pattern.split("/")) and fnmatch.fnmatchcase(
            label, pattern
        )
    is_hidden = any(part.startswith(_HIDDEN) for part in label.split("/"))
    return not is_hidden and (wanted is not None or is_readable(label))


def _input_file(location: Location, info: Any, label: str, wanted: InputFormat | None) -> InputFile:
    return InputFile(
        location=location,
        label=label,
        format=tell_input(label, wanted),
        compression=tell_compression(label),
        size_bytes=info.size,
        modified_ns=info.mtime_ns or 0,
    )


class _Counted(io.RawIOBase):
    """A stream as Python's buffers want it, and how much was read of it."""

    def __init__(self, source: Any) -> None:
        self._source = source
        self._read = getattr(source, "read1", source.read)  # a pipe gives what it has
        self.num_bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        content = self._read(len(buffer))
        buffer[: len(content)] = content
        self.num_bytes += len(content)
        return len(content)

    def close(self) -> None:
        if not self.closed:
            self._source.close()
        super().close()


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A file being read, decompressed.

    Attributes:
        stream: its content.
        raw: what is on the disk or the wire.
        size_bytes: of that; 0 if nobody knows.
    """

    stream: BinaryIO
    raw: _Counted
    size_bytes: int

    @property
    def share(self) -> float:
        """How much of the file has been read, from 0 to 1; 0 if nobody knows."""
        return min(1.0, self.raw.num_bytes / self.size_bytes) if self.size_bytes else 0.0


@contextmanager
def open_stream(file: InputFile) -> Iterator[OpenFile]:
    """Read a file from its beginning to its end.

    Raises:
        InputError: if it cannot be read, or its compression is damaged.
    """
    try:
        kind, source = _open_source(file)
        raw = content = _Counted(source)
        if kind is not Compression.NONE:
            content = _Counted(pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), kind.value))
        with raw, io.BufferedReader(content, BUFFER_BYTES) as stream:
            yield OpenFile(cast("BinaryIO", stream), raw, file.size_bytes)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{file.name} cannot be read: {error}") from error


def _open_source(file: InputFile) -> tuple[Compression, Any]:
    """Open what is on the disk or the wire; standard input tells its compression itself."""
    if file.location is None:
        stream = cast("io.BufferedReader", sys.stdin.buffer)
        return sniff_compression(stream.peek(4)), stream
    source = file.location.filesystem.open_input_stream(file.location.path, compression=None)
    return file.compression, source
