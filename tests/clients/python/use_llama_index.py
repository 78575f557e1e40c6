"""`llama-index-embeddings-cloudflare-workersai`, whose address is a constant of its module."""

from __future__ import annotations

import asyncio

from llama_index.embeddings.cloudflare_workersai import CloudflareEmbedding, base
from program import ACCOUNT, MODEL, SERVER, TEXTS, TOKEN, UNKNOWN_MODEL, refusal, tell, version

# There is no setting, so the constant is replaced: the only change to the package.
base.API_URL_TEMPLATE = SERVER + "/client/v4/accounts/{}/ai/run/{}"


def embedding(model: str = MODEL) -> CloudflareEmbedding:
    """Make what an index would be given."""
    return CloudflareEmbedding(account_id=ACCOUNT, auth_token=TOKEN, model=model)


tell(
    version=version("llama-index-embeddings-cloudflare-workersai"),
    query=embedding().get_query_embedding(TEXTS[0]),
    text=embedding().get_text_embedding(TEXTS[0]),
    batch=embedding().get_text_embedding_batch(TEXTS),
    async_batch=asyncio.run(embedding().aget_text_embedding_batch(TEXTS)),
    unknown_model=refusal(lambda: embedding(UNKNOWN_MODEL).get_text_embedding(TEXTS[0])),
    bad_input=refusal(lambda: embedding().get_text_embedding("")),
)
