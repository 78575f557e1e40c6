"""Reranking as Cohere, Jina and other servers have it: documents in the order of their relevance.

Sources: https://docs.cohere.com/reference/rerank and https://jina.ai/reranker/. Any model will do:
a classifier scores each document beside the query, an encoder by the cosine of their vectors.
"""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from satsuma.api.accounts import account_routes
from satsuma.api.answers import answer_headers, json_response
from satsuma.api.identity import request_id
from satsuma.api.inference import Inference
from satsuma.api.rerank_input import RerankRequest, read_rerank_request
from satsuma.kinds.scores import to_numbers
from satsuma.types import EmbedRequest, EmbedResult

VERSIONS: Final = ("v1", "v2")


class RerankRoutes:
    """`rerank`, below `/v1` and `/v2`, and below an account's `/ai/v1` and `/ai/v2`.

    Cohere's newer clients ask the second version for the same.
    """

    def __init__(self, inference: Inference) -> None:
        """Answer by this inference."""
        self._inference = inference

    def routes(self) -> list[Route]:
        """List the paths."""
        return [
            route
            for version in VERSIONS
            for route in (
                Route(f"/{version}/rerank", self.rerank, methods=("POST",)),
                *account_routes(f"ai/{version}/rerank", self.rerank, methods=("POST",)),
            )
        ]

    async def rerank(self, request: Request) -> Response:
        """Score the documents."""
        asked = read_rerank_request(await self._inference.read_json(request))
        model = self._inference.find(asked.model).id
        embed_request = EmbedRequest(model, asked.documents, query=asked.query)
        result = await self._inference.embed(request, embed_request)
        headers = answer_headers(result, request_id(request.scope))
        return json_response(_to_answer(result, asked), headers)


def _to_answer(result: EmbedResult, asked: RerankRequest) -> dict[str, Any]:
    scores = to_numbers(result.vectors)  # (B,)
    ranked = sorted(range(len(scores)), key=lambda index: -scores[index])
    usage = {
        "prompt_tokens": result.usage.prompt_tokens,
        "total_tokens": result.usage.total_tokens,
    }
    return {
        "model": asked.model,
        "results": [_to_result(index, scores[index], asked) for index in ranked[: asked.top_n]],
        "usage": usage,
    }


def _to_result(index: int, score: float, asked: RerankRequest) -> dict[str, Any]:
    document = {"document": {"text": asked.documents[index]}} if asked.returns_documents else {}
    return {"index": index, "relevance_score": score, **document}
