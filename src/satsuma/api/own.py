"""satsuma's own routes, for its pages and for whoever looks at a server: tokens, and the load.

Cloudflare has nothing like them, so their paths begin with `/satsuma`; answers and errors have
Cloudflare's envelope all the same.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final, TypeGuard

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from satsuma import __version__
from satsuma.api.answers import enveloped, json_response
from satsuma.api.identity import token_record
from satsuma.api.inference import Inference
from satsuma.api.members import read_model
from satsuma.api.ports import EmbeddingService
from satsuma.errors import InvalidInputError
from satsuma.kinds.schemas import MAX_TEXTS
from satsuma.stats import Stats
from satsuma.types import TextTokens

_FORMS: Final = f"'/text' must be a string, or a list of 1 to {MAX_TEXTS} strings, none empty"


class OwnRoutes:
    """`POST /satsuma/tokenize` and `GET /satsuma/stats`."""

    def __init__(self, service: EmbeddingService, inference: Inference) -> None:
        """Ask this service, and read bodies by this inference."""
        self._service = service
        self._inference = inference

    def routes(self) -> list[Route]:
        """List the paths."""
        return [
            Route("/satsuma/tokenize", self.tokenize, methods=("POST",)),
            Route("/satsuma/stats", self.stats),
        ]

    async def tokenize(self, request: Request) -> Response:
        """Tell how many tokens each text has, and where they lie in it."""
        body = await self._inference.read_json(request)
        members = body if isinstance(body, dict) else {}
        model, texts = read_model(members), _read_texts(members)
        found = self._inference.find(model)
        read = await self._service.tokenize(found.id, texts)
        return json_response(enveloped({"model": found.id, "texts": list(map(_show_text, read))}))

    async def stats(self, request: Request) -> Response:
        """Tell how busy the server is, and whose token asks."""
        record = token_record(request.scope)
        account = record.account if record else None
        return json_response(enveloped(_show_stats(await self._service.stats(), account)))


def _read_texts(members: dict[str, Any]) -> tuple[str, ...]:
    text = members.get("text")
    texts = text if isinstance(text, list) else [text]
    if not 1 <= len(texts) <= MAX_TEXTS or not all(map(_is_text, texts)):
        raise InvalidInputError(_FORMS, param="text")
    return tuple(texts)


def _is_text(value: Any) -> TypeGuard[str]:
    return isinstance(value, str) and value != ""


def _show_text(text: TextTokens) -> dict[str, Any]:
    return {"tokens": text.num_tokens, "is_truncated": text.is_truncated, "spans": text.spans}


def _show_stats(stats: Stats, account: str | None) -> dict[str, Any]:
    waiting, activity = stats.waiting, asdict(stats.activity)
    return {
        "version": __version__,
        "account": account,
        "uptime_s": stats.uptime_s,
        "models": [asdict(model) for model in stats.models],
        "waiting": {
            "tokens": waiting.waiting_tokens,
            "requests": len(waiting.requests_s),
            "engine_s": waiting.waiting_s,
        },
        "last_minute": {**activity, "tokens": sum(activity["tokens_by_second"])},
    }
