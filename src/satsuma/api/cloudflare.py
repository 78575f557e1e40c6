"""The Workers AI run route: a REST request in, Cloudflare's envelope out.

Source: https://developers.cloudflare.com/workers-ai/get-started/rest-api/. Knows no limits, no
tokens and no error shapes; those stand before it.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from satsuma.api.accounts import account_routes
from satsuma.api.inference import Inference
from satsuma.api.run import Run
from satsuma.api.validation import wants_queue


class RunRoute:
    """`POST /client/v4/accounts/{account_id}/ai/run/{model}`."""

    def __init__(self, inference: Inference, run: Run) -> None:
        """Answer by these."""
        self._inference = inference
        self._run = run

    def routes(self) -> list[Route]:
        """List the paths."""
        return account_routes("ai/run/{model:path}", self.run, methods=("POST",))

    async def run(self, request: Request) -> Response:
        """Answer the body, or queue it, or say how far a job is."""
        model = await self._inference.find_here(request.path_params["model"])
        body = await self._inference.read_json(request)
        return await self._run.answer(
            request,
            model,
            body,
            account=request.path_params["account_id"],
            is_queue_wanted=_is_queue_wanted(request),
            is_enveloped=True,
        )


def _is_queue_wanted(request: Request) -> bool:
    """Read the run option from the query; most have none."""
    has_query = bool(request.scope["query_string"])
    return has_query and wants_queue(request.query_params.get("queueRequest"))
