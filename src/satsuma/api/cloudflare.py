"""The Workers AI run route: a REST request in, Cloudflare's envelope out.

Source: https://developers.cloudflare.com/workers-ai/get-started/rest-api/. Knows no limits, no
tokens and no error shapes; those stand before it.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from satsuma.api.errors import MalformedAccountError
from satsuma.api.identity import request_id
from satsuma.api.inference import MAX_ECHO_CHARACTERS, Inference, answer_headers
from satsuma.api.schemas import schemas_of
from satsuma.api.validation import QUEUE_UNAVAILABLE, parse_request
from satsuma.auth.tokens import ACCOUNT_ID
from satsuma.errors import InvalidInputError
from satsuma.types import EmbedResult

_POST: Final = ("POST",)


class RunRoute:
    """`POST /client/v4/accounts/{account_id}/ai/run/{model}`."""

    def __init__(self, inference: Inference) -> None:
        """Answer by this inference."""
        self._inference = inference

    def routes(self) -> list[Route]:
        """List the paths; the second is what a client with an empty account id asks for."""
        return [
            Route("/client/v4/accounts/{account_id}/ai/run/{model:path}", self.run, methods=_POST),
            Route("/client/v4/accounts//ai/run/{model:path}", self.run, methods=_POST),
        ]

    async def run(self, request: Request) -> Response:
        """Embed the body's texts."""
        check_account(request)
        model = self._inference.find(request.path_params["model"])
        _check_query(request)
        body = await self._inference.read_json(request)
        embed_request = parse_request(model.id, body, schemas_of(model).input)
        result = await self._inference.embed(request, embed_request)
        envelope = {"result": to_answer(result), "success": True, "errors": [], "messages": []}
        return json_response(envelope, answer_headers(result, request_id(request.scope)))


def check_account(request: Request) -> None:
    """Refuse an account id of impossible form in the path.

    Raises:
        MalformedAccountError: if it is one.
    """
    if not ACCOUNT_ID.fullmatch(request.path_params.get("account_id", "")):
        path = request.url.path[:MAX_ECHO_CHARACTERS]
        raise MalformedAccountError(
            f"Could not route to {path}, perhaps your object identifier is invalid?"
        )


def to_answer(result: EmbedResult) -> dict[str, Any]:
    """Give the bare answer, which the binding returns as it is."""
    usage = result.usage
    return {
        "shape": result.vectors.shape,
        "data": np.ascontiguousarray(result.vectors, dtype=np.float32),  # (B, H)
        "pooling": result.pooling.value,
        "usage": {
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "total_tokens": usage.total_tokens,
        },
    }


def json_response(content: object, headers: dict[str, str] | None = None) -> Response:
    """Write JSON; orjson gives each float32 its shortest exact form."""
    body = orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(body, headers=headers, media_type="application/json")


def _check_query(request: Request) -> None:
    """Refuse what the query asks for and this version cannot do."""
    if request.url.query and request.query_params.get("queueRequest") in {"true", "1"}:
        raise InvalidInputError(QUEUE_UNAVAILABLE)
