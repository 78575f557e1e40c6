"""The document's component schemas: what is sent and answered, by name."""

from __future__ import annotations

from typing import Final

from satsuma.api.openapi.shapes import catalog, errors, openai, own, rerank, run
from satsuma.kinds.schemas import Schema

SHAPES: Final[dict[str, Schema]] = {
    **run.SHAPES,
    **openai.SHAPES,
    **rerank.SHAPES,
    **catalog.SHAPES,
    **own.SHAPES,
    **errors.SHAPES,
}
