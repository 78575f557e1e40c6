"""A file's content, decompressed, and how much of it has been read."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

import pyarrow as pa

from satsuma.bulk.errors import InputError
from satsuma.bulk.formats import Compression, sniff_compression
from satsuma.bulk.inputs import InputFile
from satsuma.bulk.locations import BUFFER_BYTES


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
