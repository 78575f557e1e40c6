"""A queued request's inputs, as JSON: what is asked, and what its answer's writer has to know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final

import orjson

from satsuma.types import EmbedRequest, Pooling

# Kept where they are not what a request has without a word.
_OPTIONS: Final = ("dimensions", "query", "prompt_name", "may_truncate", "max_padded_tokens")
_DEFAULTS: Final = {one.name: one.default for one in fields(EmbedRequest) if one.name in _OPTIONS}


def write_inputs(request: EmbedRequest, shown: Mapping[str, Any]) -> bytes:
    """Write a request whose texts are strings.

    Args:
        request: what is asked.
        shown: JSON without texts; it is kept with the result.
    """
    options = {name: getattr(request, name) for name in _OPTIONS}
    kept = {name: value for name, value in options.items() if value != _DEFAULTS[name]}
    pooling = {} if request.pooling is None else {"pooling": request.pooling.value}
    told = {"shown": shown} if shown else {}
    return orjson.dumps({"text": request.texts, **pooling, **kept, **told})


def read_inputs(model: str, inputs: bytes) -> EmbedRequest:
    """Read a request, as background work."""
    written = orjson.loads(inputs)
    options = {name: written[name] for name in _OPTIONS if name in written}
    pooling = Pooling(written["pooling"]) if "pooling" in written else None
    return EmbedRequest(model, tuple(written["text"]), pooling, is_background=True, **options)


def keep_shown(inputs: bytes) -> bytes | None:
    """Write what is kept of a finished request's inputs: no text; None if there is nothing."""
    shown = orjson.loads(inputs).get("shown")
    return orjson.dumps({"shown": shown}) if shown else None


def read_shown(kept: bytes | None) -> dict[str, Any]:
    """Read what was kept."""
    shown: dict[str, Any] = {} if kept is None else orjson.loads(kept).get("shown", {})
    return shown
