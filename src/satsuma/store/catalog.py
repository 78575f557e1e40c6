"""The models that are known without asking anybody, and the grammar of model ids.

The facts are package data (`catalog.toml`, `published_vectors.json`, `published_scores.json`); this
module reads them. It does not know what is installed.
"""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from satsuma.errors import ConfigurationError, ModelNotFoundError
from satsuma.store.manifest import (
    FileDigest,
    Listing,
    ModelManifest,
    PackageSource,
    Price,
    PublishedScores,
    PublishedVector,
    Task,
)
from satsuma.types import Pooling

LOCAL_PREFIX = "@local/"
HUB_PREFIX = "@hf/"
CATALOG_FILE = "catalog.toml"

# What a file raises that is damaged, or has members of other kinds than a catalog's.
_ODD = (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError)

# One path segment: never "." or "..", never hidden, nothing that a file system could misread.
_SEGMENT = r"(?!.*\.\.)[A-Za-z0-9_][A-Za-z0-9._-]{0,95}"
_FORMS = (
    re.compile(rf"@cf/(?:{_SEGMENT})/(?:{_SEGMENT})"),
    re.compile(rf"@hf/(?:{_SEGMENT})/(?:{_SEGMENT})"),
    re.compile(r"@local/(?!\.)[A-Za-z0-9._-]{1,128}"),
)
# `<models_dir>/cf` and `<models_dir>/hf` hold the pulled models.
_RESERVED = frozenset({"@local/cf", "@local/hf"})


@dataclass(frozen=True, slots=True)
class Catalog:
    """A set of manifests, and what was published of their answers.

    Attributes:
        manifests: in the order in which they are shown.
        vectors: published vectors by model id.
        scores: published scores by model id.
    """

    manifests: tuple[ModelManifest, ...] = ()
    vectors: Mapping[str, tuple[PublishedVector, ...]] = field(default_factory=dict)
    scores: Mapping[str, tuple[PublishedScores, ...]] = field(default_factory=dict)

    def canonical_id(self, name: str) -> str:
        """Spell a model's name in the one way that the rest of satsuma uses.

        Args:
            name: with or without the leading `@`; `@hf/` names in any case; aliases.

        Raises:
            ModelNotFoundError: if the name has no known form.
        """
        spelled = _well_formed(name)
        for manifest in self.manifests:
            if spelled == manifest.id or spelled in manifest.aliases:
                return manifest.id
        return spelled

    def find(self, name: str) -> ModelManifest | None:
        """Give the manifest of a model, or None if the catalog does not have it.

        Raises:
            ModelNotFoundError: if the name has no known form.
        """
        wanted = self.canonical_id(name)
        return next((m for m in self.manifests if m.id == wanted), None)

    def published_vectors(self, name: str) -> tuple[PublishedVector, ...]:
        """Give the vectors that somebody published for a model; none if nobody did."""
        return tuple(self.vectors.get(self.canonical_id(name), ()))

    def published_scores(self, name: str) -> tuple[PublishedScores, ...]:
        """Give the scores that somebody published for a model; none if nobody did."""
        return tuple(self.scores.get(self.canonical_id(name), ()))


@lru_cache(maxsize=1)
def bundled_catalog() -> Catalog:
    """Read the catalog that comes with satsuma."""
    vectors = json.loads(_read_text("published_vectors.json"))
    scores = json.loads(_read_text("published_scores.json"))
    return Catalog(
        manifests=tuple(map(parse_manifest, tomllib.loads(_read_text(CATALOG_FILE))["model"])),
        vectors={model_id: tuple(map(_parse_vector, rows)) for model_id, rows in vectors.items()},
        scores={model_id: tuple(map(_parse_scores, rows)) for model_id, rows in scores.items()},
    )


@lru_cache(maxsize=1)
def bundled_tasks() -> tuple[Task, ...]:
    """Read the tasks that the bundled catalog's models are for."""
    return tuple(Task(**entry) for entry in tomllib.loads(_read_text(CATALOG_FILE))["task"])


def load_catalog(models_dir: Path) -> Catalog:
    """Read the bundled catalog and the models folder's own, whose entries come first.

    Args:
        models_dir: may hold a `catalog.toml` of the bundled one's form.

    Raises:
        ConfigurationError: if that file cannot be read; the message says what is wrong with it.
    """
    bundled, path = bundled_catalog(), models_dir / CATALOG_FILE
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8"))["model"]
        own = tuple(parse_manifest(entry) for entry in entries)
        replaced = {manifest.id for manifest in own}
    except (FileNotFoundError, NotADirectoryError):
        return bundled
    except _ODD as error:
        message = f"{path} is not a catalog: {error!r}. See docs/models.md for its form."
        raise ConfigurationError(message) from error
    kept = tuple(manifest for manifest in bundled.manifests if manifest.id not in replaced)
    return Catalog(manifests=own + kept, vectors=bundled.vectors, scores=bundled.scores)


def parse_manifest(entry: Mapping[str, Any]) -> ModelManifest:
    """Turn a manifest's TOML or JSON table into the record."""
    package = entry.get("package")
    pooling = entry.get("pooling")
    return ModelManifest(
        id=entry["id"],
        repository=entry["repository"],
        revision=entry["revision"],
        files=tuple(FileDigest(**file) for file in entry["file"]),
        hidden_size=entry.get("hidden_size", 0),
        max_tokens=entry.get("max_tokens", 0),
        pooling=None if pooling is None else Pooling(pooling),
        licence=entry.get("licence", "unknown"),
        description=entry.get("description", ""),
        package=None if package is None else PackageSource(**package),
        aliases=tuple(entry.get("aliases", ())),
        dimensions=_parse_dimensions(entry),
        min_dimensions=_parse_min_dimensions(entry),
        kind=entry.get("kind", ""),
        listing=_parse_listing(entry.get("listing")),
    )


def _read_text(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _parse_dimensions(entry: Mapping[str, Any]) -> tuple[int, ...]:
    """Read the widths that a model may be cut to.

    Raises:
        ValueError: if one is no width below the model's own.
    """
    dimensions = tuple(entry.get("dimensions", ()))
    limit = entry.get("hidden_size") or math.inf
    if not all(type(one) is int and 0 < one < limit for one in dimensions):
        message = f"{entry['id']}: dimensions must be whole numbers above 0 and below hidden_size"
        raise ValueError(message)
    return dimensions


def _parse_min_dimensions(entry: Mapping[str, Any]) -> int:
    """Read the narrowest width that a model may be cut to, where any above is fine.

    Raises:
        ValueError: if it is no width below the model's own.
    """
    least = entry.get("min_dimensions", 0)
    if type(least) is not int or not 0 <= least < (entry.get("hidden_size") or math.inf):
        message = f"{entry['id']}: min_dimensions must be a whole number below hidden_size"
        raise ValueError(message)
    return least


def _parse_listing(entry: Mapping[str, Any] | None) -> Listing | None:
    """Read how Cloudflare shows a model.

    Raises:
        TypeError: if a member is missing, or unknown.
        ValueError: if `created_at` is no date.
    """
    if entry is None:
        return None
    datetime.fromisoformat(entry.get("created_at", ""))
    prices = tuple(Price(**price) for price in entry.get("prices", ()))
    return Listing(**{**entry, "prices": prices})


def _parse_vector(row: Mapping[str, Any]) -> PublishedVector:
    return PublishedVector(
        text=row["text"],
        pooling=Pooling(row["pooling"]),
        first=tuple(row["first"]),
        source=row["source"],
        is_certain=row.get("is_certain", True),
        prompt=row.get("prompt", ""),
    )


def _parse_scores(row: Mapping[str, Any]) -> PublishedScores:
    """Read a row; a classifier's own numbers are published as `logits`."""
    logits = (1 / (1 + math.exp(-one)) for one in row.get("logits", ()))
    return PublishedScores(
        query=row["query"],
        texts=tuple(row["texts"]),
        scores=tuple(row.get("scores", logits)),
        source=row["source"],
        is_certain=row.get("is_certain", True),
    )


def _well_formed(name: str) -> str:
    spelled = name if name.startswith("@") else f"@{name}"
    if spelled.lower().startswith(HUB_PREFIX):
        spelled = spelled.lower()  # the hub's names are case-insensitive
    if spelled in _RESERVED or not any(form.fullmatch(spelled) for form in _FORMS):
        message = (
            f"{name!r} is not a model id. Known forms: @cf/author/name, @hf/organisation/name, "
            "@local/name. `satsuma models list` shows the models."
        )
        raise ModelNotFoundError(message)
    return spelled
