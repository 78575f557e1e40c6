"""Both ends of a connection on one event loop."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeAlias

import pytest

from satsuma.fronts.connection import Connection, Handlers, connect

Join: TypeAlias = Callable[[Handlers], Awaitable[tuple[Connection, Connection]]]


@pytest.fixture
async def join() -> AsyncIterator[Join]:
    """Give a caller and the end that answers by these handlers."""
    ends: list[Connection] = []

    async def make(handlers: Handlers) -> tuple[Connection, Connection]:
        one, other = socket.socketpair()
        one.setblocking(False)
        other.setblocking(False)
        pair = await connect(one, {}), await connect(other, handlers)
        ends.extend(pair)
        return pair

    yield make
    for end in ends:
        end.close()
