"""What is done with a model that is here, and which file decided it: for `satsuma models info`."""

from __future__ import annotations

from typing import Any

from satsuma.store.catalog import CATALOG_FILE
from satsuma.store.facts import FolderFacts, read_facts
from satsuma.store.local import ModelStatus
from satsuma.store.manifest import ModelManifest
from satsuma.types import Pooling

# Shown though a file says nothing of them.
_DEFAULTS = ("pooling", "is_normalized")
_POSITIONS = "config.json"  # where their number is
_UNTOLD: tuple[object, ...] = ("", 0, None, {})


def decided_of(row: ModelStatus) -> dict[str, dict[str, Any]]:
    """Give each decision's value and its file, which is None where no file says anything."""
    if row.folder is None or not row.is_here:
        return {}
    facts = read_facts(row.folder)
    told = _told(facts) | _overruled(row.manifest, facts)
    return {
        name: {"value": value, "file": file}
        for name, (value, file) in told.items()
        if isinstance(value, bool) or value not in _UNTOLD
    }


def describe(decided: dict[str, dict[str, Any]]) -> list[str]:
    """Write a line of each."""
    return [
        f"{one['file'] or 'by default'}: {name} {one['value']}" for name, one in decided.items()
    ]


def _told(facts: FolderFacts) -> dict[str, tuple[Any, str | None]]:
    values = {
        "model_type": facts.model_type,
        "dimensions": facts.hidden_size,
        "max_tokens": facts.max_tokens,
        "pooling": facts.pooling or Pooling.MEAN,
        "lowercases": facts.lowercases,
        "dense_layers": ", ".join(dense.folder for dense in facts.denses),
        "is_normalized": facts.is_normalized,
        "gives_scores": facts.gives_scores,
        "prompts": dict(facts.prompts),
        "default_prompt": facts.default_prompt,
    }
    defaults = () if facts.gives_scores else _DEFAULTS
    return {
        name: (value, facts.sources.get(name))
        for name, value in values.items()
        if name in facts.sources or name in defaults
    }


def _overruled(manifest: ModelManifest, facts: FolderFacts) -> dict[str, tuple[Any, str]]:
    """List what the catalog says otherwise; no text is longer than a model's positions."""
    overruled: dict[str, tuple[Any, str]] = {}
    if manifest.pooling not in {None, facts.pooling}:
        overruled["pooling"] = (manifest.pooling, CATALOG_FILE)
    is_room = facts.sources.get("max_tokens") == _POSITIONS  # and not what somebody chose
    is_beyond = is_room and manifest.max_tokens > facts.max_tokens
    if manifest.max_tokens not in {0, facts.max_tokens} and not is_beyond:
        overruled["max_tokens"] = (manifest.max_tokens, CATALOG_FILE)
    return overruled
