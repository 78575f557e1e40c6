"""The `openai` package, 2 and 3, with nothing but its base URL changed."""

from __future__ import annotations

from typing import Any

from openai import OpenAI
from program import (
    ACCOUNT,
    MODEL,
    SERVER,
    TEXTS,
    TOKEN,
    TOKEN_IDS,
    UNKNOWN_MODEL,
    refusal,
    tell,
    version,
)

client = OpenAI(api_key=TOKEN, base_url=f"{SERVER}/client/v4/accounts/{ACCOUNT}/ai/v1")
plain = OpenAI(api_key=TOKEN, base_url=f"{SERVER}/v1")  # the address that other servers have


def embed(text: Any, model: str = MODEL, by: OpenAI = client, **more: Any) -> Any:
    """Embed; the package itself asks for base64 and decodes it, unless told otherwise."""
    return by.embeddings.create(model=model, input=text, **more).model_dump()


tell(
    version=version("openai"),
    string=embed(TEXTS[0]),
    list=embed(TEXTS),
    floats=embed(TEXTS, encoding_format="float"),
    base64=embed(TEXTS, encoding_format="base64"),
    cls=embed(TEXTS, extra_body={"pooling": "cls"}),
    token_ids=embed(TOKEN_IDS[0]),
    token_id_lists=embed(TOKEN_IDS),
    plain=embed(TEXTS, by=plain),
    by_environment=embed(TEXTS, by=OpenAI()),  # OPENAI_BASE_URL and OPENAI_API_KEY
    models=[one.model_dump() for one in client.models.list()],
    model=client.models.retrieve(MODEL).model_dump(),
    unknown_model=refusal(lambda: embed(TEXTS, model=UNKNOWN_MODEL)),
    bad_input=refusal(lambda: embed("")),
    dimensions=refusal(lambda: embed(TEXTS, dimensions=5)),
    model_not_listed=refusal(lambda: client.models.retrieve(UNKNOWN_MODEL)),
)
