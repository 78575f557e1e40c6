"""A time limit on clients that do not read: what they asked for would lie in memory for ever."""

from __future__ import annotations

import asyncio
import fcntl
import struct
import termios
from typing import Final

_LOOKS: Final = 4  # within the limit, so that nobody is held for much longer
_INT: Final = struct.Struct("i")


class UnreadLimit:
    """Aborts a connection whose client has taken no byte for too long.

    Nothing else may be written meanwhile: it looks for any change of what waits to be sent.
    """

    def __init__(
        self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, limit_s: float
    ) -> None:
        """Watch nothing yet."""
        self._transport = transport
        self._loop = loop
        self._limit_s = limit_s
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: tuple[int, int] | None = None
        self._since_s = 0.0

    def start(self) -> None:
        """Let the time run, unless it does."""
        if self._timer is None:
            self._waiting, self._since_s = None, self._loop.time()  # measured if it goes on
            self._look_later()

    def stop(self) -> None:
        """Let it run no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_later(self) -> None:
        self._timer = self._loop.call_later(self._limit_s / _LOOKS, self._look)

    def _look(self) -> None:
        waiting, now_s = self._measure(), self._loop.time()
        if self._waiting is not None and waiting != self._waiting:
            self._since_s = now_s
        self._waiting, self._timer = waiting, None
        if now_s - self._since_s < self._limit_s:
            self._look_later()
        else:
            self._transport.abort()

    def _measure(self) -> tuple[int, int]:
        """Count the bytes that wait here, and in the system.

        Linux asks for more only when a third of its own buffer is free, which may be a megabyte: a
        slow client is seen to read only there.
        """
        return self._transport.get_write_buffer_size(), _num_unsent(self._transport)


def _num_unsent(transport: asyncio.Transport) -> int:
    """Ask the system what it has not brought to the client yet; 0 where it does not say.

    Source: https://man7.org/linux/man-pages/man7/tcp.7.html (SIOCOUTQ, of the same number)
    """
    try:
        number = transport.get_extra_info("socket").fileno()
        answer = fcntl.ioctl(number, termios.TIOCOUTQ, bytes(_INT.size))
    except (OSError, ValueError):
        return 0
    return int(_INT.unpack(answer)[0])
