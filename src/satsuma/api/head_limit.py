"""Limits on request heads: uvicorn reads headers of any size and waits for them for ever.

Both count before anybody is asked who they are: such connections would use up memory and
descriptors. httptools hands headers over as they come, so the bytes are counted while a head is
incomplete.
"""

from __future__ import annotations

import asyncio
from typing import Final

from satsuma.api.hangup import Hangup, with_hangup
from satsuma.api.writing import WritingProtocol

_MAX_HEAD_BYTES: Final = 64 * 1024
_REFUSAL: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)


class LimitedHeadProtocol(WritingProtocol):
    """uvicorn's protocol, closing a connection whose request head is too long or too late.

    Attributes:
        head_s: seconds from a connection, or from a later head's first byte, to the head's end.
            Between requests uvicorn's own `timeout_keep_alive` counts.
    """

    head_s = 20.0
    _head_timer: asyncio.TimerHandle | None = None
    _head_bytes = 0  # of a head that has not ended yet
    _is_in_head = True
    _num_events = 0  # ends of heads and of messages so far

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first head."""
        self._hangup = Hangup()
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._stop_timer()
        super().connection_lost(exc)
        self._hangup.tell()

    def data_received(self, data: bytes) -> None:
        """Parse what came, and count it if it was all of one head."""
        num_events = self._num_events
        super().data_received(data)
        is_all_head = self._is_in_head and self._num_events == num_events
        self._head_bytes = self._head_bytes + len(data) if is_all_head else 0
        if self._head_bytes:
            self._start_timer()
        if self._head_bytes > _MAX_HEAD_BYTES and not self.transport.is_closing():
            self.transport.write(_REFUSAL)
            self.transport.close()

    def on_headers_complete(self) -> None:
        """End a head."""
        self._stop_timer()
        self._is_in_head = False
        self._num_events += 1
        with_hangup(self.scope, self._hangup)  # type: ignore[arg-type]
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Wait for the next head."""
        super().on_message_complete()
        if not self.pipeline:  # uvicorn stops reading at a large body until somebody listens again
            self.flow.resume_reading()  # and only by reading is it noticed that a client left
        self._is_in_head = True
        self._num_events += 1

    def _start_timer(self) -> None:
        if self._head_timer is None and not self.transport.is_closing():
            self._head_timer = self.loop.call_later(self.head_s, self.transport.close)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
