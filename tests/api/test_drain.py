from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from starlette.types import Message, Receive, Scope, Send

from satsuma.api.drain import Drain, DrainGate
from satsuma.api.identity import RequestIdentity

START: Message = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"connection", b"keep-alive"), (b"x", b"y")],
}


class SlowApp:
    """Waits to be told, before its answer's head or after it."""

    def __init__(self, *, begins_first: bool = False) -> None:
        """Choose when to wait."""
        self.go_on = asyncio.Event()
        self._begins_first = begins_first

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with a head."""
        del scope, receive
        if self._begins_first:
            await send(START)
        await self.go_on.wait()
        if not self._begins_first:
            await send(START)


class Client:
    """Sends a body in parts and keeps what comes back."""

    def __init__(self, *parts: bytes) -> None:
        """Take the body's parts."""
        self._parts: Iterator[bytes] = iter(parts)
        self.num_left = len(parts)
        self.sent: list[Message] = []

    async def receive(self) -> Message:
        """Give the next part."""
        self.num_left -= 1
        return {"type": "http.request", "body": next(self._parts), "more_body": self.num_left > 0}

    async def send(self, message: Message) -> None:
        """Keep an answer's message."""
        self.sent.append(message)

    def call(self, gate: DrainGate, path: str = "/x") -> asyncio.Task[None]:
        """Make a request."""
        scope = {"type": "http", "path": path}
        app = RequestIdentity(gate)
        return asyncio.ensure_future(app(scope, self.receive, self.send))

    @property
    def status(self) -> int:
        """Give the answer's status."""
        return int(self.sent[0]["status"])

    @property
    def headers(self) -> dict[bytes, bytes]:
        """Give the answer's headers."""
        return dict(self.sent[0]["headers"])


async def test_counts_what_runs() -> None:
    """A request is in `running` from its beginning to its end."""
    drain, app, client = Drain(), SlowApp(), Client()
    task = client.call(DrainGate(app, drain=drain))
    await asyncio.sleep(0)
    assert drain.running == {task}
    app.go_on.set()
    await task
    assert drain.running == set()
    assert client.headers[b"connection"] == b"keep-alive"


async def test_reads_the_body_before_refusing() -> None:
    """The refused request's body is taken in, so that the answer arrives."""
    drain, client = Drain(), Client(b"a", b"b", b"c")
    drain.start()
    await client.call(DrainGate(SlowApp(), drain=drain))
    assert (client.status, client.num_left) == (503, 0)
    assert client.headers[b"connection"] == b"close"


async def test_a_running_answer_closes_its_connection() -> None:
    """What finishes while draining tells its client not to come back this way."""
    drain, app, client = Drain(), SlowApp(), Client()
    task = client.call(DrainGate(app, drain=drain))
    await asyncio.sleep(0)
    drain.start()
    app.go_on.set()
    await task
    assert (client.status, client.headers[b"connection"]) == (200, b"close")
    assert client.headers[b"x"] == b"y"


async def test_a_cut_request_is_refused() -> None:
    """A request without an answer yet gets one when it is cut."""
    drain, client = Drain(), Client()
    task = client.call(DrainGate(SlowApp(), drain=drain))
    await asyncio.sleep(0)
    drain.start()
    drain.cut()
    await task
    assert client.status == 503


async def test_a_cut_answer_cannot_be_taken_back() -> None:
    """A request whose answer has begun just ends."""
    drain, client = Drain(), Client()
    task = client.call(DrainGate(SlowApp(begins_first=True), drain=drain))
    await asyncio.sleep(0)
    drain.cut()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert client.status == 200


async def test_another_cancellation_is_not_ours() -> None:
    """What somebody else cancels is not answered here."""
    drain, client = Drain(), Client()
    task = client.call(DrainGate(SlowApp(), drain=drain))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert client.sent == []
    assert drain.running == set()


async def test_health_passes() -> None:
    """Liveness is answered while draining."""
    drain, app, client = Drain(), SlowApp(), Client()
    drain.start()
    app.go_on.set()
    await client.call(DrainGate(app, drain=drain), "/health")
    assert client.status == 200
