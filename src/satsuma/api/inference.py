"""What all run routes share: read a body, find a model, wait for its vectors.

Knows no client's format: `cloudflare.py`, `binding.py` and `openai.py` read and write those.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, Self, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive

from satsuma.api.errors import shorten
from satsuma.api.estimates import estimate_tokens
from satsuma.api.hangup import Hangup, hangup_of
from satsuma.api.listing import find_listed
from satsuma.api.metering import notes_of
from satsuma.api.ports import EmbeddingService
from satsuma.api.validation import parse_json
from satsuma.errors import (
    DeadlineExceededError,
    InvalidInputError,
    ModelError,
    ModelNotFoundError,
    ShuttingDownError,
)
from satsuma.store.manifest import ModelManifest
from satsuma.types import EmbedRequest, EmbedResult

_T = TypeVar("_T")

_LISTEN_AFTER_S: Final = 0.05
_UNENCODED: Final = frozenset({"", "identity"})


class Inference:
    """A service as the run routes use it."""

    def __init__(self, service: EmbeddingService, deadline_s: float) -> None:
        """Ask this service; a body that takes longer to come than the deadline is late."""
        self._service = service
        self._deadline_s = deadline_s
        self._found: dict[str, ModelManifest] = {}  # on the disk, by id

    def find(self, model: str) -> ModelManifest:
        """Look a model up by any of its names.

        Raises:
            ModelNotFoundError: if there is none; the message is Workers AI's.
        """
        try:
            return self._service.manifest(model)
        except ModelNotFoundError as error:
            raise _unknown(model) from error

    async def find_here(self, name: str) -> ModelManifest:
        """Look a model up as `find` does, and on the disk where no catalog knows what it takes.

        Raises:
            ModelNotFoundError: as `find`.
        """
        manifest = self.find(name)
        if manifest.files:  # a catalog's
            return manifest
        if manifest.id not in self._found:
            listed = await find_listed(self._service, name)
            if listed is None or not listed.is_here:
                return manifest  # it is not here, which whoever asks it is told
            self._found[manifest.id] = listed.manifest
        return self._found[manifest.id]

    async def read_json(self, request: Request) -> Any:
        """Read the body as JSON, whatever its Content-Type says.

        Raises:
            InvalidInputError: if it is compressed, or no JSON.
            DeadlineExceededError: if it does not come in time.
        """
        encoding = request.headers.get("content-encoding", "")
        if encoding.strip().lower() not in _UNENCODED:
            shown = shorten(encoding)
            message = f"Content-Encoding {shown!r} is not supported; send the JSON as it is"
            raise InvalidInputError(message)
        return parse_json(await self._read_body(request))

    async def embed(self, request: Request, embed_request: EmbedRequest) -> EmbedResult:
        """Embed, unless the client of `request` hangs up meanwhile.

        Raises:
            RateLimitedError: if a quota has no token left.
        """
        model, notes = embed_request.model, notes_of(request.scope)
        if notes.hold is not None:
            manifest = self._found.get(model) or self._service.manifest(model)
            await notes.hold(estimate_tokens(embed_request, manifest))
        notes.model = model
        try:
            result = await _unless_gone(self._service.embed(embed_request), request)
        except ModelError as error:
            notes.model = ""  # it is not here: anybody can make up such names
            if isinstance(error, ModelNotFoundError):
                raise _unknown(model) from error
            raise
        notes.note_result(result)
        return result

    async def check_installed(self, model: ModelManifest) -> None:
        """Make sure that a model's weights are here.

        Raises:
            ModelError: if they are not.
        """
        try:
            await self._service.check_installed(model.id)
        except ModelNotFoundError as error:
            raise _unknown(model.id) from error

    async def _read_body(self, request: Request) -> bytes:
        try:
            async with asyncio.timeout(self._deadline_s):
                return await _receive_body(request.receive)
        except TimeoutError as error:
            raise DeadlineExceededError("the body did not come in time") from error


async def _receive_body(receive: Receive) -> bytes:
    """Put a body together; most come whole."""
    chunks = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _unknown(model: str) -> ModelNotFoundError:
    """Say of an unknown model what Workers AI says; our own words may name the server's folders."""
    return ModelNotFoundError(f"No such model {shorten(model)} or task")


async def _unless_gone(work: Coroutine[Any, Any, _T], request: Request) -> _T:
    """Await the work, or drop it once the client has hung up: nobody would read the answer."""
    hangup = hangup_of(request.scope)
    if hangup is not None and hangup.is_lost:
        work.close()
        raise ClientDisconnect
    with _Watch(request.receive, hangup) as watch:
        try:
            return await work
        except asyncio.CancelledError as error:
            if watch.has_gone:
                raise ClientDisconnect from error
            if watch.task.cancelling():
                raise
            message = "The request was dropped, for the server is stopping."
            raise ShuttingDownError(message) from error


class _Watch:
    """Cancels the current task when the client hangs up.

    Our own server's connections tell of their end. Elsewhere listening takes a task of its own, so
    it begins only when the work takes long enough to be worth dropping.
    """

    def __init__(self, receive: Receive, hangup: Hangup | None) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - ASGI applications run in tasks
        self.task: asyncio.Task[Any] = task
        self.has_gone = False
        self._is_over = False
        self._receive = receive
        self._hangup = hangup
        self._timer: asyncio.TimerHandle | None = None
        self._listening: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        if self._hangup is not None:
            self._hangup.listen(self._leave)
        else:
            loop = self.task.get_loop()
            self._timer = loop.call_later(_LISTEN_AFTER_S, self._listen)
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over = True
        if self._hangup is not None:
            self._hangup.ignore(self._leave)
        if self._timer is not None:
            self._timer.cancel()
        if self._listening is not None:
            self._listening.cancel()
        if self.has_gone:
            self.task.uncancel()

    def _listen(self) -> None:
        self._listening = asyncio.ensure_future(_disconnected(self._receive))
        self._listening.add_done_callback(self._heard)

    def _heard(self, listening: asyncio.Task[None]) -> None:
        if not listening.cancelled():
            listening.exception()  # a body that went wrong is as good as gone
            self._leave()

    def _leave(self) -> None:
        if not self._is_over:
            self.has_gone = True
            self.task.cancel()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
