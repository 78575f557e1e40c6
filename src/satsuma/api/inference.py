"""What all run routes share: read a body, find a model, wait for its vectors.

Knows no client's format: `cloudflare.py`, `binding.py` and `openai.py` read and write those.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive

from satsuma.api.errors import shorten
from satsuma.api.ports import EmbeddingService
from satsuma.api.validation import parse_json
from satsuma.errors import (
    DeadlineExceededError,
    InvalidInputError,
    ModelNotFoundError,
    ShuttingDownError,
)
from satsuma.store.manifest import ModelManifest
from satsuma.types import EmbedRequest, EmbedResult

_T = TypeVar("_T")

_UNENCODED: Final = frozenset({"", "identity"})


class Inference:
    """A service as the run routes use it."""

    def __init__(self, service: EmbeddingService, deadline_s: float) -> None:
        """Ask this service; a body that takes longer to come than the deadline is late."""
        self._service = service
        self._deadline_s = deadline_s

    def find(self, model: str) -> ModelManifest:
        """Look a model up by any of its names.

        Raises:
            ModelNotFoundError: if there is none; the message is Workers AI's.
        """
        with _in_known_words(model):
            return self._service.manifest(model)

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
        """Embed, unless the client of `request` hangs up meanwhile."""
        with _in_known_words(embed_request.model):
            return await _unless_gone(self._service.embed(embed_request), request.receive)

    async def _read_body(self, request: Request) -> bytes:
        try:
            async with asyncio.timeout(self._deadline_s):
                return await request.body()
        except TimeoutError as error:
            raise DeadlineExceededError("the body did not come in time") from error


@contextmanager
def _in_known_words(model: str) -> Iterator[None]:
    """Say of an unknown model what Workers AI says; our own words may name the server's folders."""
    try:
        yield
    except ModelNotFoundError as error:
        message = f"No such model {shorten(model)} or task"
        raise ModelNotFoundError(message) from error


async def _unless_gone(work: Coroutine[Any, Any, _T], receive: Receive) -> _T:
    """Await the work, or drop it once the client has hung up: nobody would read the answer."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        if working.cancelled():
            raise ShuttingDownError("The request was dropped, for the server is stopping.")
        return working.result()
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
