"""Tokens guessed from lengths."""

from __future__ import annotations

import pytest

from satsuma.api.estimates import estimate_tokens
from satsuma.store.manifest import RERANKER, ModelManifest
from satsuma.types import EmbedRequest

ENCODER = ModelManifest("encoder", "", "", (), max_tokens=128)
PAIRS = ModelManifest("reranker", "", "", (), max_tokens=128, kind=RERANKER)
UNKNOWN = ModelManifest("unknown", "", "", ())


@pytest.mark.parametrize(
    ("model", "texts", "query", "num_tokens"),
    [
        (ENCODER, ("", "a", "a" * 40), None, 2 + 3 + 12),
        (ENCODER, ("a" * 10_000, (5,) * 10, (5,) * 1000), None, 128 + 12 + 128),
        (ENCODER, ("\u6587" * 40,), None, 2 + 30),
        (UNKNOWN, ("a" * 10_000,), None, 512),
        (ENCODER, ("a" * 40, "a" * 40), "a" * 80, 12 + 12 + 22),
        (PAIRS, ("a" * 40, "a" * 40), "a" * 80, 32 + 32),
    ],
)
def test_estimates(
    model: ModelManifest, texts: tuple[str, ...], query: str | None, num_tokens: int
) -> None:
    """[CLS] and [SEP] included, up to what the model reads; a query where the model reads it."""
    assert estimate_tokens(EmbedRequest(model.id, texts, query=query), model) == num_tokens
