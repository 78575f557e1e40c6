"""The `cloudflare` package, 4 and 5: `client.ai.run`, as its README calls the API."""

from __future__ import annotations

from typing import Any

from cloudflare import Cloudflare
from program import ACCOUNT, MODEL, SERVER, TEXTS, TOKEN, UNKNOWN_MODEL, refusal, tell, version

client = Cloudflare(api_token=TOKEN, base_url=f"{SERVER}/client/v4")


def run(text: str | list[str], model: str = MODEL, by: Cloudflare = client, **more: Any) -> Any:
    """Call a model, and give the answer as plain JSON."""
    answer = by.ai.run(model, account_id=ACCOUNT, text=text, **more)
    return answer if isinstance(answer, dict) else answer.model_dump()


tell(
    version=version("cloudflare"),
    string=run(TEXTS[0]),
    list=run(TEXTS),
    cls=run(TEXTS, extra_body={"pooling": "cls"}),
    by_environment=run(TEXTS, by=Cloudflare()),  # CLOUDFLARE_BASE_URL and _API_TOKEN
    unknown_model=refusal(lambda: run(TEXTS[0], model=UNKNOWN_MODEL)),
    bad_input=refusal(lambda: run("")),
)
