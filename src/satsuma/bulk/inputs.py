"""The files that are read: what a name, a folder or a glob stands for, and what each holds."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyarrow import fs

from satsuma.bulk.errors import InputError
from satsuma.bulk.formats import (
    Compression,
    InputFormat,
    is_readable,
    tell_compression,
    tell_input,
)
from satsuma.bulk.locations import STANDARD_STREAM, STATE_SUFFIX, Location, is_utf8, locate

_WILDCARDS = re.compile(r"[*?\[]")
_HIDDEN = (".", "_")  # what Spark and others leave beside their files


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
            if not is_utf8(label) and _is_chosen(label, pattern, wanted):
                locate(str(path))


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
