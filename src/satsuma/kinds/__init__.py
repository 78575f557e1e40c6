"""What each kind of model takes and answers: one file a kind, and the list of them.

A kind's file has its schemas, which are served and which decide, a parser and a writer. Nothing
here knows HTTP, a queue, or a model in memory; docs/adding-a-kind.md walks through one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from satsuma.errors import ConfigurationError
from satsuma.kinds.bge_m3 import BGE_M3
from satsuma.kinds.embedding import embedding_kind
from satsuma.kinds.embeddinggemma import EMBEDDINGGEMMA
from satsuma.kinds.kind import Kind
from satsuma.kinds.qwen3 import QWEN3
from satsuma.kinds.reranker import RERANKER
from satsuma.store import manifest as models

# By the name that a manifest has; a text encoder's has none.
KINDS: Final[Mapping[str, Kind]] = {
    "bge-m3": BGE_M3,
    models.RERANKER: RERANKER,
    "qwen3-embedding": QWEN3,
    "embeddinggemma": EMBEDDINGGEMMA,
}


def kind_of(manifest: models.ModelManifest) -> Kind:
    """Give a model's kind.

    Raises:
        ConfigurationError: if a catalog of the user's own names one that there is not.
    """
    if not manifest.kind:
        return embedding_kind(manifest.pooling)
    if manifest.kind not in KINDS:
        known = ", ".join(KINDS)
        message = f"{manifest.id} is of the kind {manifest.kind!r}; there are {known}."
        raise ConfigurationError(message)
    return KINDS[manifest.kind]
