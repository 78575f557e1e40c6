"""One connection that speaks plain HTTP/1.1, and tells precisely how it ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import orjson

_CRUMB_BYTES, _CRUMB_S = 1 << 15, 0.1


class CutError(Exception):
    """The connection ended before a whole answer came."""


class AwayError(Exception):
    """Nobody listens."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back.

    Attributes:
        headers: by lower-case name.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The decoded body; None if it is no JSON."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return None

    @property
    def code(self) -> int:
        """The first error's number, in whichever form; 0 without one."""
        told = self.json
        try:
            return int(
                told["internalCode"] if "internalCode" in told else told["errors"][0]["code"]
            )
        except (TypeError, LookupError, ValueError):
            return 0


def write_request(
    path: str, body: bytes, method: str = "POST", headers: Mapping[str, str] | None = None
) -> bytes:
    """Write a whole request."""
    usual = {"Host": "here", "Content-Length": str(len(body))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in (usual | dict(headers or {})).items())
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + body


class Connection:
    """Asks one thing at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Use a connection that is there."""
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, port: int) -> Self:
        """Connect on loopback.

        Raises:
            AwayError: if nobody listens.
        """
        try:
            return cls(*await asyncio.open_connection("127.0.0.1", port))
        except OSError as error:
            raise AwayError(repr(error)) from error

    async def ask(self, request: bytes, within_s: float) -> Reply:
        """Send, and read the whole answer.

        Raises:
            CutError: if the connection ends first.
            TimeoutError: if it does not come in time.
        """
        try:
            async with asyncio.timeout(within_s):
                self.writer.write(request)
                await self.writer.drain()
                return await self.read()
        except TimeoutError:
            raise
        except (OSError, asyncio.IncompleteReadError) as error:
            raise CutError(repr(error)) from error

    async def read(self, slow_s: float = 0.0) -> Reply:
        """Read one answer with a length; its body in crumbs for so many seconds first."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        pairs = (line.split(": ", 1) for line in lines if ": " in line)
        headers = {name.lower(): value for name, value in pairs}
        length = int(headers.get("content-length", 0))
        crumbs = await self._read_crumbs(length, slow_s)
        body = crumbs + await self.reader.readexactly(length - len(crumbs))
        return Reply(int(first.split()[1]), headers, body)

    async def _read_crumbs(self, most: int, slow_s: float) -> bytes:
        crumbs, end_s = b"", time.monotonic() + slow_s
        while len(crumbs) < most and time.monotonic() < end_s and not self.reader.at_eof():
            crumbs += await self.reader.read(min(_CRUMB_BYTES, most - len(crumbs)))
            await asyncio.sleep(_CRUMB_S)
        return crumbs

    def drop(self) -> None:
        """Hang up at once, whatever is on its way."""
        self.writer.transport.abort()


async def ask_once(port: int, path: str, *, within_s: float = 5.0) -> Reply:
    """Get a path over a connection of its own.

    Raises:
        AwayError: if nobody listens.
        CutError: if the connection ends first.
        TimeoutError: if no answer comes in time.
    """
    connection = await Connection.open(port)
    try:
        return await connection.ask(write_request(path, b"", "GET"), within_s)
    finally:
        connection.drop()
