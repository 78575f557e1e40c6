"""The Worker's binding: what `env.AI.run(...)` sends from workerd, and the bare answer it reads.

Source: cloudflare/workerd, src/cloudflare/internal/ai-api.ts @6552d999.
"""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from satsuma.api.answers import answer_headers, bare_answer, json_response
from satsuma.api.errors import DeprecatedClientError, IncompleteRequestError
from satsuma.api.identity import request_id
from satsuma.api.inference import Inference
from satsuma.api.schemas import schemas_of
from satsuma.api.validation import QUEUE_UNAVAILABLE, parse_request, wants_queue
from satsuma.errors import InvalidInputError

_POST: Final = ("POST",)
_VERSION: Final = "3"
_MODEL_HEADER: Final = "cf-consn-model-id"


class BindingRoutes:
    """`POST /run?version=3`, and the same by way of an AI Gateway, of which there is none here."""

    def __init__(self, inference: Inference) -> None:
        """Answer by this inference."""
        self._inference = inference

    def routes(self) -> list[Route]:
        """List the paths."""
        return [
            Route("/run", self.run, methods=_POST),
            Route("/ai-gateway/run", self.run, methods=_POST),
        ]

    async def run(self, request: Request) -> Response:
        """Embed the inputs' texts."""
        if request.query_params.get("version") != _VERSION:
            raise DeprecatedClientError("only version 3 of the protocol is spoken")
        model = self._inference.find(_read_model(request))
        inputs = _read_inputs(await self._inference.read_json(request))
        embed_request = parse_request(model.id, inputs, schemas_of(model).input)
        result = await self._inference.embed(request, embed_request)
        return json_response(bare_answer(result), answer_headers(result, request_id(request.scope)))


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
    options = body.get("options")
    if isinstance(options, dict) and wants_queue(options.get("queueRequest")):
        raise InvalidInputError(QUEUE_UNAVAILABLE)
    return body["inputs"]
