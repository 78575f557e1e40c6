"""About how many tokens a request has, before anybody has tokenised it: plain arithmetic."""

from __future__ import annotations

from typing import Final

from satsuma.store.manifest import RERANKER, ModelManifest
from satsuma.types import EmbedRequest, TokenIds

_BYTES_PER_TOKEN: Final = 4  # of English; in UTF-8, so that scripts with short words count for more
_SPECIAL: Final = 2  # such as [CLS] and [SEP]
_MAX_TOKENS: Final = 512  # where nobody knows a model's


def estimate_tokens(request: EmbedRequest, model: ModelManifest) -> int:
    """Estimate what `usage` will say, by the texts' lengths alone.

    A query counts beside each text for a model that reads them in pairs, and once for others.
    """
    most = model.max_tokens or _MAX_TOKENS
    query = 0 if request.query is None else _length(request.query)
    beside, alone = (query, 0) if model.kind == RERANKER else (0, query)
    items = [beside + _length(text) for text in request.texts] + [alone] * (alone > 0)
    return sum(min(most, _SPECIAL + item) for item in items)


def _length(text: str | TokenIds) -> int:
    """Estimate a text's own tokens, rounded up."""
    if not isinstance(text, str):
        return len(text)
    num_bytes = len(text) if text.isascii() else len(text.encode())
    return -(-num_bytes // _BYTES_PER_TOKEN)
