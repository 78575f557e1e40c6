"""The Worker's binding: what `env.AI.run(...)` sends from workerd, and the bare answer it reads.

Source: cloudflare/workerd, src/cloudflare/internal/ai-api.ts @6552d999.
"""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from satsuma.api.errors import DeprecatedClientError, IncompleteRequestError
from satsuma.api.identity import token_record
from satsuma.api.inference import Inference
from satsuma.api.run import Run
from satsuma.api.validation import says_queue

_POST: Final = ("POST",)
_VERSION: Final = "3"
_MODEL_HEADER: Final = "cf-consn-model-id"
_ACCOUNT: Final = "local"  # whose jobs they are where no token says it


class BindingRoutes:
    """`POST /run?version=3`, and the same by way of an AI Gateway, of which there is none here."""

    def __init__(self, inference: Inference, run: Run) -> None:
        """Answer by these."""
        self._inference = inference
        self._run = run

    def routes(self) -> list[Route]:
        """List the paths."""
        return [
            Route("/run", self.run, methods=_POST),
            Route("/ai-gateway/run", self.run, methods=_POST),
        ]

    async def run(self, request: Request) -> Response:
        """Answer the inputs, or queue them, or say how far a job is."""
        if request.query_params.get("version") != _VERSION:
            raise DeprecatedClientError("only version 3 of the protocol is spoken")
        model = await self._inference.find_here(_read_model(request))
        body = await self._inference.read_json(request)
        inputs = _read_inputs(body)
        return await self._run.answer(
            request,
            model,
            inputs,
            account=_account(request),
            is_queue_wanted=says_queue(body),
            is_enveloped=False,
        )


def _account(request: Request) -> str:
    """Take the token's account, for the path names none."""
    record = token_record(request.scope)
    return _ACCOUNT if record is None else record.account


def _read_model(request: Request) -> str:
    """Take the model from its header, without the prefix that the runtime may put before it."""
    model = request.headers.get(_MODEL_HEADER, "").rpartition(":")[2]
    if not model:
        raise IncompleteRequestError(_MODEL_HEADER)
    return model


def _read_inputs(body: Any) -> Any:
    """Take the model's inputs out of `{inputs, options}`."""
    if not isinstance(body, dict) or "inputs" not in body:
        raise IncompleteRequestError("inputs")
    return body["inputs"]
