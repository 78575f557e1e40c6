"""Long answers over TLS, piece by piece.

A transport of TLS encrypts whatever it gets at once, hands it to the transport below, and takes it
for sent: nobody would learn that the client does not read. When such a transport is closed, all of
that has to be read within a fixed time besides, however steadily the client reads.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

_PIECE_BYTES: Final = 16 * 1024  # TLS's longest record
_HIGH_BYTES: Final = 8 * 1024  # what makes the transport ask for a pause: less than a piece


class TlsPieces:
    """A transport that gets no more than its client reads; the rest waits here, unencrypted."""

    def __init__(self, transport: asyncio.Transport) -> None:
        """Stand before a transport of TLS."""
        self._transport = transport
        self._waiting: deque[memoryview] = deque()
        self._is_paused = False
        self._is_closing = False
        transport.set_write_buffer_limits(high=_HIGH_BYTES)

    def write(self, data: bytes) -> None:
        """Send, a piece at a time where it is long."""
        if self._waiting or len(data) > _PIECE_BYTES:
            self._waiting.append(memoryview(data))
            self._send()
        else:
            self._transport.write(data)

    def writelines(self, parts: Sequence[bytes]) -> None:
        """Send several, together where they are short."""
        if self._waiting or sum(map(len, parts)) > _PIECE_BYTES:
            self._waiting.extend(map(memoryview, parts))
            self._send()
        else:
            self._transport.writelines(parts)

    def pause(self) -> None:
        """Send nothing more for now."""
        self._is_paused = True

    def resume(self) -> bool:
        """Send on; gives whether everything is sent, and nothing has to pause again."""
        self._is_paused = False
        self._send()
        return not self._is_paused

    def is_closing(self) -> bool:
        """Whether it is, or will be once everything is sent."""
        return self._is_closing or self._transport.is_closing()

    def close(self) -> None:
        """Close once everything is sent."""
        self._is_closing = True
        if not self._waiting:
            self._transport.close()

    def drop(self) -> None:
        """Forget what waits."""
        self._waiting.clear()

    def _send(self) -> None:
        while self._waiting and not self._is_paused:
            data = self._waiting.popleft()
            if len(data) > _PIECE_BYTES:
                self._waiting.appendleft(data[_PIECE_BYTES:])
            self._transport.write(data[:_PIECE_BYTES])
        if self._is_closing and not self._waiting:
            self._transport.close()

    def __getattr__(self, name: str) -> Any:
        """Leave the rest to the transport."""
        return getattr(self._transport, name)
