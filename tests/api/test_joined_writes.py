"""Head and body leave together, and nothing is lost where there is no body."""

from __future__ import annotations

import asyncio
from typing import cast

from satsuma.api.joined_writes import JoinedWrites

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"


class Recorder:
    """A transport that records what it is asked to do."""

    def __init__(self) -> None:
        """Record nothing yet."""
        self.calls: list[object] = []

    def write(self, data: bytes) -> None:
        """Record a write."""
        self.calls.append(data)

    def writelines(self, data: tuple[bytes, ...]) -> None:
        """Record one of several parts."""
        self.calls.append(b"".join(data))

    def close(self) -> None:
        """Record the end."""
        self.calls.append("close")

    def tell(self) -> None:
        """Record that the end was told of."""
        self.calls.append("told")

    def is_closing(self) -> bool:
        """Say no."""
        return False

    def get_extra_info(self, name: str) -> str:
        """Give something to pass on."""
        return name


def joined() -> tuple[JoinedWrites, Recorder]:
    """Put one before a recorder, on the running loop."""
    recorder = Recorder()
    transport = cast("asyncio.Transport", recorder)
    return JoinedWrites(transport, asyncio.get_running_loop(), recorder.tell), recorder


async def test_a_head_waits_for_its_body() -> None:
    """Both are one write, and no later one repeats them."""
    writes, recorder = joined()
    writes.write(HEAD)
    assert recorder.calls == []
    writes.write(b"{}")
    await asyncio.sleep(0)
    writes.write(b"more")
    assert recorder.calls == [HEAD + b"{}", b"more"]


async def test_a_head_without_a_body_leaves_when_the_loop_turns() -> None:
    """As to HEAD, or where the body takes its time."""
    writes, recorder = joined()
    writes.write(HEAD)
    await asyncio.sleep(0)
    assert recorder.calls == [HEAD]


async def test_closing_sends_what_waits() -> None:
    """In order."""
    writes, recorder = joined()
    writes.write(HEAD)
    writes.close()
    assert recorder.calls == [HEAD, "close", "told"]


async def test_the_rest_is_the_transports() -> None:
    """Such as its address."""
    writes, _ = joined()
    assert writes.get_extra_info("peername") == "peername"
    assert not writes.is_closing()
