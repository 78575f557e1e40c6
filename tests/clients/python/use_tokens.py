"""Three packages against a server that asks for a token: the right one, a wrong one."""

from __future__ import annotations

import os
from typing import Any

from cloudflare import Cloudflare
from langchain_cloudflare import CloudflareWorkersAIEmbeddings
from openai import OpenAI
from program import ACCOUNT, MODEL, SERVER, TEXTS, TOKEN, refusal, tell, version

WRONG = os.environ["WRONG_TOKEN"]


def by_cloudflare(token: str) -> Any:
    """Call the REST route."""
    client = Cloudflare(api_token=token, base_url=f"{SERVER}/client/v4")
    answer = client.ai.run(MODEL, account_id=ACCOUNT, text=TEXTS)
    return answer["data"] if isinstance(answer, dict) else answer.data


def by_openai(token: str) -> Any:
    """Call OpenAI's route."""
    client = OpenAI(api_key=token, base_url=f"{SERVER}/client/v4/accounts/{ACCOUNT}/ai/v1")
    return [one.embedding for one in client.embeddings.create(model=MODEL, input=TEXTS).data]


def by_langchain(token: str) -> Any:
    """Call the REST route by requests."""
    return CloudflareWorkersAIEmbeddings(
        api_base_url=f"{SERVER}/client/v4/accounts",
        account_id=ACCOUNT,
        api_token=token,
        model_name=MODEL,
    ).embed_documents(TEXTS)


def verified(token: str) -> Any:
    """Ask whether the token is good."""
    client = Cloudflare(api_token=token, base_url=f"{SERVER}/client/v4")
    return client.user.tokens.verify().status


CALLS = {"cloudflare": by_cloudflare, "openai": by_openai, "langchain-cloudflare": by_langchain}
tell(
    versions={name: version(name) for name in CALLS},
    right={name: call(TOKEN) for name, call in CALLS.items()},
    wrong={name: refusal(lambda call=call: call(WRONG)) for name, call in CALLS.items()},
    verified=verified(TOKEN),
    not_verified=refusal(lambda: verified(WRONG)),
)
