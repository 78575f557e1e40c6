"""The Workers AI run route: a REST request in, Cloudflare's envelope out.

Source: https://developers.cloudflare.com/workers-ai/get-started/rest-api/. Knows no limits, no
tokens and no error shapes; those stand before it.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from satsuma.api.accounts import account_routes
from satsuma.api.answers import answer_headers, bare_answer, enveloped, json_response
from satsuma.api.identity import request_id
from satsuma.api.inference import Inference
from satsuma.api.schemas import schemas_of
from satsuma.api.validation import QUEUE_UNAVAILABLE, parse_request, wants_queue
from satsuma.errors import InvalidInputError


class RunRoute:
    """`POST /client/v4/accounts/{account_id}/ai/run/{model}`."""

    def __init__(self, inference: Inference) -> None:
        """Answer by this inference."""
        self._inference = inference

    def routes(self) -> list[Route]:
        """List the paths."""
        return account_routes("ai/run/{model:path}", self.run, methods=("POST",))

    async def run(self, request: Request) -> Response:
        """Embed the body's texts."""
        model = self._inference.find(request.path_params["model"])
        _check_query(request)
        body = await self._inference.read_json(request)
        embed_request = parse_request(model.id, body, schemas_of(model).input)
        result = await self._inference.embed(request, embed_request)
        headers = answer_headers(result, request_id(request.scope))
        return json_response(enveloped(bare_answer(result)), headers)


def _check_query(request: Request) -> None:
    """Refuse what the query asks for and this version cannot do."""
    if request.scope["query_string"] and wants_queue(request.query_params.get("queueRequest")):
        raise InvalidInputError(QUEUE_UNAVAILABLE)
