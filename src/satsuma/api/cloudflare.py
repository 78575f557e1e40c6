"""The Workers AI run route: a REST request in, Cloudflare's envelope out.

Source: https://developers.cloudflare.com/workers-ai/get-started/rest-api/. Knows no limits, no
tokens and no error shapes; those stand before it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

import numpy as np
import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive

from satsuma.api.errors import MalformedAccountError
from satsuma.api.identity import request_id
from satsuma.api.ports import EmbeddingService
from satsuma.api.validation import QUEUE_UNAVAILABLE, parse_json, parse_request
from satsuma.auth.tokens import ACCOUNT_ID
from satsuma.errors import (
    DeadlineExceededError,
    InvalidInputError,
    ModelNotFoundError,
    ShuttingDownError,
)
from satsuma.types import EmbedResult, Timings

_T = TypeVar("_T")

_POST: Final = ("POST",)
_MAX_ECHO_CHARACTERS: Final = 200
_UNENCODED: Final = frozenset({"", "identity"})


class RunRoute:
    """`POST /client/v4/accounts/{account_id}/ai/run/{model}`."""

    def __init__(self, service: EmbeddingService, deadline_s: float) -> None:
        """Answer from this service; a body that takes longer to come than the deadline is late."""
        self._service = service
        self._deadline_s = deadline_s

    def routes(self) -> list[Route]:
        """List the paths; the second is what a client with an empty account id asks for."""
        return [
            Route("/client/v4/accounts/{account_id}/ai/run/{model:path}", self.run, methods=_POST),
            Route("/client/v4/accounts//ai/run/{model:path}", self.run, methods=_POST),
        ]

    async def run(self, request: Request) -> Response:
        """Embed the body's texts."""
        _check_account(request)
        model = request.path_params["model"]
        try:
            result = await self._embed(model, request)
        except ModelNotFoundError as error:  # its own words may name the server's folders
            message = f"No such model {model[:_MAX_ECHO_CHARACTERS]} or task"
            raise ModelNotFoundError(message) from error
        return _success(result, request_id(request.scope))

    async def _embed(self, name: str, request: Request) -> EmbedResult:
        model = self._service.manifest(name).id
        _check_transport(request)
        body = await _read_body(request, self._deadline_s)
        embed_request = parse_request(model, parse_json(body))
        return await _unless_gone(self._service.embed(embed_request), request.receive)


def _check_account(request: Request) -> None:
    if not ACCOUNT_ID.fullmatch(request.path_params.get("account_id", "")):
        path = request.url.path[:_MAX_ECHO_CHARACTERS]
        raise MalformedAccountError(
            f"Could not route to {path}, perhaps your object identifier is invalid?"
        )


def _check_transport(request: Request) -> None:
    """Refuse what the query or the headers ask for and this version cannot do."""
    encoding = request.headers.get("content-encoding", "")
    if encoding.strip().lower() not in _UNENCODED:
        raise InvalidInputError(
            f"Content-Encoding {encoding[:_MAX_ECHO_CHARACTERS]!r} is not supported; "
            "send the JSON as it is"
        )
    if request.url.query and request.query_params.get("queueRequest") in {"true", "1"}:
        raise InvalidInputError(QUEUE_UNAVAILABLE)


async def _read_body(request: Request, deadline_s: float) -> bytes:
    try:
        async with asyncio.timeout(deadline_s):
            return await request.body()
    except TimeoutError as error:
        raise DeadlineExceededError("the body did not come in time") from error


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


def _success(result: EmbedResult, identity: str) -> Response:
    headers = {"cf-ai-req-id": identity, "server-timing": _server_timing(result.timings)}
    if result.num_truncated:
        headers["x-satsuma-truncated"] = str(result.num_truncated)
    return Response(_envelope(result), headers=headers, media_type="application/json")


def _envelope(result: EmbedResult) -> bytes:
    """Write the answer; orjson gives each float32 its shortest exact form."""
    usage = result.usage
    answer = {
        "shape": result.vectors.shape,
        "data": np.ascontiguousarray(result.vectors, dtype=np.float32),  # (B, H)
        "pooling": result.pooling.value,
        "usage": {
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "total_tokens": usage.total_tokens,
        },
    }
    envelope = {"result": answer, "success": True, "errors": [], "messages": []}
    return orjson.dumps(envelope, option=orjson.OPT_SERIALIZE_NUMPY)


def _server_timing(timings: Timings) -> str:
    stages = {
        "tokenise": timings.tokenise_s,
        "queue": timings.queue_s,
        "inference": timings.inference_s,
    }
    return ", ".join(f"{name};dur={1000 * spent_s:.2f}" for name, spent_s in stages.items())
