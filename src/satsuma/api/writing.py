"""How answers leave: few system calls for short ones, and no waiting for ever with long ones."""

from __future__ import annotations

import asyncio
from typing import cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.utils import is_ssl

from satsuma.api.joined_writes import JoinedWrites
from satsuma.api.tls_pieces import TlsPieces
from satsuma.api.unread import UnreadLimit


class WritingProtocol(HttpToolsProtocol):
    """uvicorn's protocol, cutting off a client that does not read what it asked for.

    A short answer starts no clock: that runs where more waits than the transport keeps gladly
    (64 KiB), and where a connection is to be closed.

    Attributes:
        unread_s: seconds for which a client may take no byte; each one sets them back.
    """

    unread_s = 20.0
    _pieces: TlsPieces | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Put what this is about before the transport."""
        self._unread = UnreadLimit(transport, self.loop, self.unread_s)
        if is_ssl(transport):
            self._pieces = TlsPieces(transport)
        below = cast("asyncio.Transport", self._pieces or transport)
        super().connection_made(
            JoinedWrites(below, self.loop, self._unread.start)  # type: ignore[arg-type]
        )

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget what nobody will read."""
        super().connection_lost(exc)  # it closes the transport, which starts the clock
        self._unread.stop()
        if self._pieces is not None:
            self._pieces.drop()

    def pause_writing(self) -> None:
        """Hold answers back: too much waits for the client."""
        super().pause_writing()
        if self._pieces is not None:
            self._pieces.pause()
        self._unread.start()

    def resume_writing(self) -> None:
        """Go on, with what is left of this answer first."""
        self._unread.stop()
        if self._pieces is None or self._pieces.resume():
            super().resume_writing()
        if self.transport.is_closing():
            self._unread.start()
