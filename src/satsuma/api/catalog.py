"""The catalog: which models there are, what they take and answer, who made them; and whose token.

Source: https://developers.cloudflare.com/api/resources/ai/.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from satsuma.api.accounts import account_routes
from satsuma.api.answers import enveloped, json_response
from satsuma.api.errors import InvalidQueryError, UnlistedModelError, shorten
from satsuma.api.identity import token_record
from satsuma.api.listing import (
    distinct,
    find_listed,
    listing_of,
    show_author,
    show_model,
    show_task,
)
from satsuma.api.ports import EmbeddingService
from satsuma.api.query import read_query
from satsuma.kinds import kind_of
from satsuma.kinds.schemas import Schema
from satsuma.store.local import ModelStatus

_MOST_A_PAGE: Final = 1_000  # Cloudflare answers the whole catalog as one page
_OPEN_ID: Final = "no-token-needed"

SEARCH_QUERY: Final[Mapping[str, Schema]] = {
    "author": {"type": "string", "description": "An author's name, in any case: `baai`."},
    "task": {"type": "string", "description": "A task's name, in any case: `Text Embeddings`."},
    "search": {"type": "string", "description": "Part of a model's id or description."},
    "source": {
        "type": "integer",
        "description": "1 for `@cf` models, 2 for `@hf`, 3 for `@local`.",
        "minimum": 0,
        "maximum": 1_000,
    },
    "hide_experimental": {
        "type": "boolean",
        "description": "Leave out what Cloudflare calls a beta.",
        "default": False,
    },
    "include_deprecated": {
        "type": "boolean",
        "description": "No model here is deprecated, so this changes nothing.",
        "default": False,
    },
    "page": {
        "type": "integer",
        "description": "Which page, from 1; one after the last is empty.",
        "minimum": 1,
        "maximum": 1_000_000,
        "default": 1,
    },
    "per_page": {
        "type": "integer",
        "description": "Models in a page.",
        "minimum": 1,
        "maximum": _MOST_A_PAGE,
        "default": _MOST_A_PAGE,
    },
}

SCHEMA_QUERY: Final[Mapping[str, Schema]] = {
    "model": {"type": "string", "description": "Any of a model's ids.", "minLength": 1},
}


class CatalogRoutes:
    """`GET .../ai/{models,tasks,authors}/search`, `.../ai/models/schema`, `.../tokens/verify`."""

    def __init__(self, service: EmbeddingService) -> None:
        """Ask this service for the models."""
        self._service = service

    def routes(self) -> list[Route]:
        """List the paths; the Worker's binding asks for the models without an account."""
        return [
            *account_routes("ai/models/search", self.search),
            *account_routes("ai/models/schema", self.schema),
            *account_routes("ai/tasks/search", self.tasks),
            *account_routes("ai/authors/search", self.authors),
            *account_routes("tokens/verify", self.verify),
            Route("/client/v4/user/tokens/verify", self.verify),
            Route("/ai-api/models/search", self.search),
        ]

    async def search(self, request: Request) -> Response:
        """Answer a page of the models that the query asks for."""
        query = _read_search(request)
        found = [one for one in await self._service.models() if _is_wanted(one, query)]
        start = (query["page"] - 1) * query["per_page"]
        shown = found[start : start + query["per_page"]]
        counts = {"page": query["page"], "per_page": query["per_page"], "total_count": len(found)}
        envelope = _listed([show_model(one) for one in shown])
        return json_response({**envelope, "result_info": {"count": len(shown), **counts}})

    async def schema(self, request: Request) -> Response:
        """Answer the JSON Schemas of what a model takes and answers."""
        name = read_query(request.query_params, SCHEMA_QUERY)["model"]
        if not name:
            example = "?model=@cf/baai/bge-base-en-v1.5"
            raise InvalidQueryError(f"model is missing; name one, as in {example}")
        found = await find_listed(self._service, name)
        if found is None:
            raise UnlistedModelError(f"No such model {shorten(name)}")
        kind = kind_of(found.manifest)
        return json_response(enveloped({"input": kind.input, "output": kind.output}))

    async def tasks(self, _request: Request) -> Response:
        """Answer the tasks of the models, all as one page."""
        names = [listing_of(one.manifest).task for one in await self._service.models()]
        return json_response(_listed([show_task(name) for name in distinct(names)]))

    async def authors(self, _request: Request) -> Response:
        """Answer the authors of the models, all as one page."""
        names = [listing_of(one.manifest).author for one in await self._service.models()]
        return json_response(_listed([show_author(name) for name in distinct(names)]))

    async def verify(self, request: Request) -> Response:
        """Answer whose token it is; authentication has already refused a wrong one."""
        record = token_record(request.scope)
        says = "This API Token is valid and active"
        if record is None:
            says = "This server asks for no token, so any is as good as valid and active"
        result = {"id": record.id if record else _OPEN_ID, "status": "active"}
        message = {"code": 10000, "message": says, "type": None}
        return json_response(enveloped(result, [message]))


def _read_search(request: Request) -> dict[str, Any]:
    if request.query_params.get("format"):
        raise InvalidQueryError("format is not available: models are shown in one form, this one")
    return read_query(request.query_params, SEARCH_QUERY)


def _is_wanted(status: ModelStatus, query: Mapping[str, Any]) -> bool:
    """Compare a model with the filters; one that was not sent, or is empty, lets all through."""
    manifest, listing = status.manifest, listing_of(status.manifest)
    text = f"{manifest.id}\n{manifest.description}"
    return (
        _equals(query["author"], listing.author)
        and _equals(query["task"], listing.task)
        and (query["search"] or "").casefold() in text.casefold()
        and query["source"] in {None, listing.source}
        and not (query["hide_experimental"] and listing.is_beta)
    )


def _equals(wanted: str | None, actual: str) -> bool:
    return not wanted or wanted.casefold() == actual.casefold()


def _listed(result: list[dict[str, Any]]) -> dict[str, Any]:
    return {"success": True, "result": result, "errors": [], "messages": []}
