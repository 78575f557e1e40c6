"""`langchain-cloudflare`, by its setting for the address."""

from __future__ import annotations

import asyncio

from langchain_cloudflare import CloudflareWorkersAIEmbeddings
from program import ACCOUNT, MODEL, SERVER, TEXTS, TOKEN, UNKNOWN_MODEL, refusal, tell, version


def embeddings(model: str = MODEL) -> CloudflareWorkersAIEmbeddings:
    """Make what a chain or a vector store would be given."""
    return CloudflareWorkersAIEmbeddings(
        api_base_url=f"{SERVER}/client/v4/accounts",
        account_id=ACCOUNT,
        api_token=TOKEN,
        model_name=model,
    )


tell(
    version=version("langchain-cloudflare"),
    query=embeddings().embed_query(TEXTS[0]),
    documents=embeddings().embed_documents(TEXTS),
    async_query=asyncio.run(embeddings().aembed_query(TEXTS[0])),
    async_documents=asyncio.run(embeddings().aembed_documents(TEXTS)),
    unknown_model=refusal(lambda: embeddings(UNKNOWN_MODEL).embed_query(TEXTS[0])),
    bad_input=refusal(lambda: embeddings().embed_query("")),
)
