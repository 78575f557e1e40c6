"""Messages as bytes: a length of four bytes, then Python's own encoding of the message.

Unpickling runs whatever the bytes say. Here both ends are processes of one server, of which one
has started the other, and the socket between them has no address that anybody could connect to.
"""

from __future__ import annotations

import pickle
import struct
from typing import Any, Final

_LENGTH: Final = struct.Struct("<I")
_PROTOCOL: Final = 5


def write_frame(message: object) -> bytes:
    """Encode a message.

    Raises:
        Exception: if it cannot be pickled.
    """
    body = pickle.dumps(message, _PROTOCOL)
    return _LENGTH.pack(len(body)) + body


class FrameReader:
    """Finds the messages in a stream that is cut anywhere."""

    def __init__(self) -> None:
        """Begin at the stream's start."""
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[Any]:
        """Take more of the stream, and give the messages that are whole now."""
        rest = self._rest
        rest += data
        messages, start = [], 0
        while len(rest) - start >= _LENGTH.size:
            begin = start + _LENGTH.size
            end = begin + _LENGTH.unpack_from(rest, start)[0]
            if len(rest) < end:
                break
            with memoryview(rest)[begin:end] as body:
                messages.append(pickle.loads(body))  # noqa: S301 - our own, see above
            start = end
        del rest[:start]
        return messages
