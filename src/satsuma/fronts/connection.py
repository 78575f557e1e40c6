"""Calls between two processes over a socket, in both directions at once. Belongs to an event loop.

What is sent within one turn of the loop goes out in one write: with hundreds of requests under way
that is a system call for many of them.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import socket
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, TypeAlias, cast

from satsuma.errors import OverloadedError, SatsumaError, ShuttingDownError
from satsuma.fronts.frames import FrameReader, write_frame
from satsuma.outcomes import Refusal

Handlers: TypeAlias = Mapping[str, Callable[..., Coroutine[Any, Any, Any]]]

_LOGGER = logging.getLogger(__name__)
_CALL, _ANSWER, _FAILURE, _CANCEL = range(4)
_UNANSWERED: Final = 0  # the number of a call of which nobody wants to know what came of it
_MAX_UNSENT_BYTES: Final = 128 << 20  # then the other end has read nothing for a while
_RETRY_AFTER_S: Final = 1.0


class Connection(asyncio.Protocol):
    """One end of it: calls the other's handlers, and answers calls with its own."""

    def __init__(self, handlers: Handlers, on_lost: Callable[[], None] = lambda: None) -> None:
        """Prepare an end.

        Args:
            handlers: what the other end may call, by name.
            on_lost: called once when the other end is gone.
        """
        self._handlers = handlers
        self._on_lost = on_lost
        self._reader = FrameReader()
        self._numbers = itertools.count(_UNANSWERED + 1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._running: dict[int, asyncio.Task[None]] = {}
        self._outgoing: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self._told: set[asyncio.Task[None]] = set()

    async def call(self, name: str, *arguments: object) -> Any:
        """Call the other end's handler. Cancelling the call cancels the handler.

        Raises:
            SatsumaError: whatever the handler raises.
            ShuttingDownError: if the other end is gone, or goes meanwhile.
            OverloadedError: if it does not read what it was sent.
            RuntimeError: if the handler failed in another way, which its process has logged.
        """
        self._check_room()
        number = next(self._numbers)
        self._send((_CALL, number, name, arguments))
        self._waiting[number] = future = asyncio.get_running_loop().create_future()
        try:
            return await future
        except asyncio.CancelledError:
            if number in self._waiting:
                self._send((_CANCEL, number))
            raise
        finally:
            self._waiting.pop(number, None)

    def _check_room(self) -> None:
        if self._transport is None:
            raise _gone()
        if self._transport.get_write_buffer_size() > _MAX_UNSENT_BYTES:
            message = "The engine does not take what it is sent; please try again."
            raise OverloadedError(message, retry_after_s=_RETRY_AFTER_S)

    def tell(self, name: str, *arguments: object) -> None:
        """Call the other end's handler, and wait for nothing; a lost connection is no error."""
        self._send((_CALL, _UNANSWERED, name, arguments))

    def close(self) -> None:
        """Send what is left, and close."""
        self._flush()
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Take calls and answers."""
        for kind, number, *rest in self._reader.feed(data):
            if kind == _CALL:
                self._accept(number, *rest)
            elif kind == _CANCEL:
                self._cancel(number)
            else:
                self._settle(kind, number, *rest)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        """Fail the calls that wait, and drop those that run: nobody would read their answers."""
        self._transport = None
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(_gone())
        self._waiting.clear()
        for number in list(self._running):
            self._cancel(number)
        self._on_lost()

    def _accept(self, number: int, name: str, arguments: tuple[Any, ...]) -> None:
        task = asyncio.get_running_loop().create_task(self._answer(number, name, arguments))
        if number == _UNANSWERED:
            self._told.add(task)  # the loop itself keeps no task alive
            task.add_done_callback(self._told.discard)
        else:
            self._running[number] = task

    async def _answer(self, number: int, name: str, arguments: tuple[Any, ...]) -> None:
        try:
            self._reply(_ANSWER, number, await self._handlers[name](*arguments))
        except SatsumaError as error:
            self._refuse(number, error)
        except asyncio.CancelledError:
            if number in self._running:  # by nobody on the other end
                self._reply(_FAILURE, number, Refusal.of(_gone()))
            raise
        except Exception:
            _LOGGER.exception("a call of another process of this server failed")
            self._reply(_FAILURE, number, None)
        finally:
            self._running.pop(number, None)

    def _refuse(self, number: int, error: SatsumaError) -> None:
        """Send an error; one that cannot be pickled is not to leave the caller waiting."""
        try:
            self._reply(_FAILURE, number, Refusal.of(error))
        except Exception:
            _LOGGER.exception(
                "an error cannot be told to another process of this server: %s", error
            )
            self._reply(_FAILURE, number, None)

    def _cancel(self, number: int) -> None:
        task = self._running.pop(number, None)
        if task is not None:
            task.cancel()

    def _settle(self, kind: int, number: int, outcome: Any) -> None:
        future = self._waiting.pop(number, None)
        if future is None or future.done():
            return  # it was cancelled while the answer was on its way
        if kind == _ANSWER:
            future.set_result(outcome)
        elif isinstance(outcome, Refusal):
            future.set_exception(outcome.to_error())
        else:
            future.set_exception(RuntimeError("another process of this server failed; see its log"))

    def _reply(self, kind: int, number: int, outcome: object) -> None:
        if number != _UNANSWERED:
            self._send((kind, number, outcome))

    def _send(self, message: object) -> None:
        if self._transport is None:
            return
        self._outgoing.append(write_frame(message))
        if len(self._outgoing) == 1:
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        outgoing, self._outgoing = self._outgoing, []
        if self._transport is not None and outgoing:
            self._transport.write(b"".join(outgoing))


async def connect(
    end: socket.socket, handlers: Handlers, on_lost: Callable[[], None] = lambda: None
) -> Connection:
    """Begin to speak over one end of a pair of sockets."""
    loop = asyncio.get_running_loop()
    connection = Connection(handlers, on_lost)
    await loop.create_unix_connection(lambda: connection, sock=end)
    return connection


def _gone() -> ShuttingDownError:
    return ShuttingDownError("The server is stopping and takes no new work; please try again.")
