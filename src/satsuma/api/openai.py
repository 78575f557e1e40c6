"""OpenAI's embeddings API, under Workers AI's own address for it and under plain `/v1`.

Sources: https://developers.cloudflare.com/workers-ai/configuration/open-ai-compatibility/ and
https://platform.openai.com/docs/api-reference/embeddings.
"""

from __future__ import annotations

import asyncio
import binascii
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from satsuma.api.accounts import account_routes
from satsuma.api.answers import answer_headers, json_response
from satsuma.api.errors import UnlistedModelError, shorten
from satsuma.api.identity import request_id
from satsuma.api.inference import Inference
from satsuma.api.listing import find_listed, listing_of
from satsuma.api.openai_input import read_openai_request
from satsuma.api.ports import EmbeddingService
from satsuma.api.raw import bytes_response, wants_bytes
from satsuma.store.manifest import ModelManifest
from satsuma.types import EmbedRequest, EmbedResult, FloatArray

_POST: Final = ("POST",)
_ROWS_AT_ONCE: Final = 128  # some 2 ms of writing


class OpenAIRoutes:
    """`embeddings` and `models`, below `/v1` and below an account's `/ai/v1`."""

    def __init__(self, service: EmbeddingService, inference: Inference) -> None:
        """Answer by this inference, and list this service's models."""
        self._service = service
        self._inference = inference

    def routes(self) -> list[Route]:
        """List the paths."""
        return [
            Route("/v1/embeddings", self.embeddings, methods=_POST),
            Route("/v1/models", self.models),
            Route("/v1/models/{model:path}", self.model),
            *account_routes("ai/v1/embeddings", self.embeddings, methods=_POST),
            *account_routes("ai/v1/models", self.models),
            *account_routes("ai/v1/models/{model:path}", self.model),
        ]

    async def embeddings(self, request: Request) -> Response:
        """Embed the input."""
        asked = read_openai_request(await self._inference.read_json(request))
        model = self._inference.find(asked.model).id
        embed_request = EmbedRequest(
            model,
            asked.texts,
            asked.pooling,
            asked.dimensions,
            prompt_name=asked.prompt_name,
        )
        result = await self._inference.embed(request, embed_request)
        headers = answer_headers(result, request_id(request.scope))
        if wants_bytes(request):
            return bytes_response(result, headers)
        answer = await _to_answer(result, asked.model, is_base64=asked.is_base64)
        return json_response(answer, headers)

    async def models(self, _request: Request) -> Response:
        """List the models that can answer."""
        listed = await self._service.models()
        usable = [_to_model(status.manifest) for status in listed if status.is_here]
        return json_response({"object": "list", "data": usable})

    async def model(self, request: Request) -> Response:
        """Show one model that can answer."""
        name = request.path_params["model"]
        found = await find_listed(self._service, name)
        if found is None or not found.is_here:
            message = f"The model {shorten(name)} does not exist or is not installed here"
            raise UnlistedModelError(message)
        return json_response(_to_model(found.manifest))


async def _to_answer(result: EmbedResult, model: str, *, is_base64: bool) -> dict[str, Any]:
    usage = {
        "prompt_tokens": result.usage.prompt_tokens,
        "total_tokens": result.usage.total_tokens,
    }
    data = await _write_rows(result.vectors, is_base64=is_base64)
    return {"object": "list", "data": data, "model": model, "usage": usage}


async def _write_rows(vectors: FloatArray, *, is_base64: bool) -> orjson.Fragment:
    """Write the rows part by part: thousands of them would hold up everybody else's answers."""
    parts = []
    for start in range(0, len(vectors), _ROWS_AT_ONCE):
        if start:
            await asyncio.sleep(0)
        rows = np.ascontiguousarray(vectors[start : start + _ROWS_AT_ONCE], np.float32)  # (R, H)
        shown = map(_to_base64, rows) if is_base64 else rows
        objects = [
            {"object": "embedding", "embedding": row, "index": index}
            for index, row in enumerate(shown, start)
        ]
        parts.append(orjson.dumps(objects, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1])
    return orjson.Fragment(b"[" + b",".join(parts) + b"]")


def _to_base64(row: FloatArray) -> orjson.Fragment:
    """Write a row's bytes, little-endian whatever the machine's own order, in quotes."""
    written = binascii.b2a_base64(row.astype("<f4", copy=False).data, newline=False)
    return orjson.Fragment(b'"' + written + b'"')


def _to_model(manifest: ModelManifest) -> dict[str, Any]:
    return {
        "id": manifest.id,
        "object": "model",
        "created": _created(manifest),
        "owned_by": listing_of(manifest).author,
    }


def _created(manifest: ModelManifest) -> int:
    """Give seconds since 1970; 0 where nobody published when the model came."""
    if manifest.listing is None:
        return 0
    return int(datetime.fromisoformat(manifest.listing.created_at).replace(tzinfo=UTC).timestamp())
