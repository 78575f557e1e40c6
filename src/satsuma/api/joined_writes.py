"""An answer's head and body in one write: a system call, a packet and a wake of the client less.

uvicorn writes the two one after the other, and uvloop sends each at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

_HEAD_START: Final = b"HTTP/1.1 "
_HEAD_END: Final = b"\r\n\r\n"


class JoinedWrites:
    """A transport that holds an answer's head back until its body comes, or the loop turns."""

    def __init__(
        self,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        on_close: Callable[[], None],
    ) -> None:
        """Stand before `transport`.

        Args:
            transport: what sends.
            loop: its event loop.
            on_close: called whenever the transport was told to close; some may wait to be sent.
        """
        self._transport = transport
        self._loop = loop
        self._on_close = on_close
        self._head = b""
        self.is_closing = transport.is_closing

    def write(self, data: bytes) -> None:
        """Send, unless it is a head alone."""
        if self._head:
            head, self._head = self._head, b""
            self._transport.writelines((head, data))
        elif data.endswith(_HEAD_END) and data.startswith(_HEAD_START):
            self._head = data
            self._loop.call_soon(self._flush)
        else:
            self._transport.write(data)

    def close(self) -> None:
        """Close once everything is sent."""
        self._flush()
        self._transport.close()
        self._on_close()

    def _flush(self) -> None:
        if self._head:
            self.write(b"")

    def __getattr__(self, name: str) -> Any:
        """Leave the rest to the transport."""
        return getattr(self._transport, name)
