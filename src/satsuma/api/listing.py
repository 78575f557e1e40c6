"""How a model is shown in the catalog: Cloudflare's object, key order included.

What Cloudflare does not publish of a model, for it is not Cloudflare's, is made from what is known:
ids are uuids of the name, so that they are the same on every machine.

Source: cloudflare-docs, src/content/workers-ai-models/*.json @0f82325b.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from satsuma.api.ports import EmbeddingService
from satsuma.errors import ModelNotFoundError
from satsuma.store.catalog import LOCAL_PREFIX, bundled_tasks
from satsuma.store.local import ModelStatus
from satsuma.store.manifest import RERANKER, Listing, ModelManifest, Task

# Cloudflare's catalog has nothing like these.
INSTALLED_PROPERTY: Final = "satsuma_installed"
LICENCE_PROPERTY: Final = "satsuma_licence"
POOLING_PROPERTY: Final = "satsuma_pooling"

_EMBEDDINGS: Final = "Text Embeddings"
_CLASSIFICATION: Final = "Text Classification"
_SOURCES: Final = {"@cf": 1, "@hf": 2, "@local": 3}  # the third is satsuma's own


async def find_listed(service: EmbeddingService, name: str) -> ModelStatus | None:
    """Find a model of the list by any of its ids; that an id has a good form is not enough."""
    try:
        wanted = service.manifest(name).id
    except ModelNotFoundError:
        return None
    return next((one for one in await service.models() if one.manifest.id == wanted), None)


def listing_of(manifest: ModelManifest) -> Listing:
    """Give what is published of a model, or what stands for it where nothing is."""
    if manifest.listing is not None:
        return manifest.listing
    prefix, first, *_ = manifest.id.split("/")
    is_local = manifest.id.startswith(LOCAL_PREFIX)
    return Listing(
        id=_made_id("model", manifest.id),
        source=_SOURCES[prefix],
        author="local" if is_local else first.lower(),
        task=_CLASSIFICATION if manifest.kind == RERANKER else _EMBEDDINGS,
        created_at="",
        info=f"https://huggingface.co/{manifest.repository}" if manifest.repository else "",
    )


def show_model(status: ModelStatus) -> dict[str, Any]:
    """Write a model's catalog object; `created_at` is left out where nobody knows it."""
    manifest, listing = status.manifest, listing_of(status.manifest)
    return {
        "id": listing.id,
        "source": listing.source,
        "name": manifest.id,
        "description": manifest.description,
        "task": show_task(listing.task),
        **({"created_at": listing.created_at} if listing.created_at else {}),
        "tags": [],
        "properties": [
            {"property_id": name, "value": value} for name, value in _properties(status) if value
        ],
    }


def show_task(name: str) -> dict[str, str]:
    """Write a task."""
    made = Task(_made_id("task", name), name, "")
    task = next((one for one in bundled_tasks() if one.name == name), made)
    return {"id": task.id, "name": task.name, "description": task.description}


def show_author(name: str) -> dict[str, str]:
    """Write an author; Cloudflare publishes neither ids nor descriptions of them."""
    return {"id": _made_id("author", name), "name": name, "description": ""}


def distinct(names: Iterable[str]) -> tuple[str, ...]:
    """Drop what was seen before, and keep the order."""
    return tuple(dict.fromkeys(names))


def _properties(status: ModelStatus) -> list[tuple[str, Any]]:
    """List the properties in the published order, unknown ones as an empty value."""
    manifest, listing = status.manifest, listing_of(status.manifest)
    prices = [
        {"unit": one.unit, "price": one.price, "currency": one.currency} for one in listing.prices
    ]
    return [
        ("async_queue", "true" if listing.has_queue else ""),
        ("beta", "true" if listing.is_beta else ""),
        ("price", prices),
        ("info", listing.info),
        ("context_window", str(listing.context_window or "")),
        ("max_input_tokens", str(manifest.max_tokens or "")),
        ("output_dimensions", str(manifest.hidden_size or "")),
        (INSTALLED_PROPERTY, "true" if status.is_here else "false"),
        (LICENCE_PROPERTY, "" if manifest.licence == "unknown" else manifest.licence),
        (POOLING_PROPERTY, manifest.pooling or ""),
    ]


def _made_id(kind: str, name: str) -> str:
    return str(uuid5(NAMESPACE_URL, f"satsuma:{kind}:{name}"))
