"""The `cloudflare` package, 4 and 5: what there is, and whether the token is good."""

from __future__ import annotations

from cloudflare import Cloudflare
from program import ACCOUNT, MODEL, SERVER, TOKEN, UNKNOWN_MODEL, refusal, tell, version

client = Cloudflare(api_token=TOKEN, base_url=f"{SERVER}/client/v4")


def plain(answer: object) -> object:
    """Give JSON of what the package knows a type for, and of what it does not."""
    return answer.model_dump(mode="json") if hasattr(answer, "model_dump") else answer


tell(
    version=version("cloudflare"),
    # Iterating asks for one page after another until one is empty.
    models=[plain(one) for one in client.ai.models.list(account_id=ACCOUNT)],
    found=[plain(one) for one in client.ai.models.list(account_id=ACCOUNT, search="bge-base")],
    schema=plain(client.ai.models.schema.get(account_id=ACCOUNT, model=MODEL)),
    tasks=[plain(one) for one in client.ai.tasks.list(account_id=ACCOUNT)],
    authors=[plain(one) for one in client.ai.authors.list(account_id=ACCOUNT)],
    token=plain(client.user.tokens.verify()),
    unknown_schema=refusal(
        lambda: client.ai.models.schema.get(account_id=ACCOUNT, model=UNKNOWN_MODEL)
    ),
)
