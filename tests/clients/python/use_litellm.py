"""`litellm` by its OpenAI route: it has no embeddings of Cloudflare's own."""

from __future__ import annotations

from typing import Any

import litellm
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

litellm.suppress_debug_info = True  # its advice goes to stdout, which is for JSON here


def embed(text: Any, model: str = MODEL, **more: Any) -> Any:
    """Embed."""
    return litellm.embedding(
        model=f"openai/{model}",
        input=text,
        api_base=f"{SERVER}/client/v4/accounts/{ACCOUNT}/ai/v1",
        api_key=TOKEN,
        **more,
    ).model_dump()


tell(
    version=version("litellm"),
    string=embed(TEXTS[0]),
    list=embed(TEXTS),
    base64=embed(TEXTS, encoding_format="base64"),
    token_id_lists=embed(TOKEN_IDS),
    unknown_model=refusal(lambda: embed(TEXTS, model=UNKNOWN_MODEL)),
    own_route=refusal(lambda: litellm.embedding(model=f"cloudflare/{MODEL}", input=TEXTS)),
    bad_input=refusal(lambda: embed([""])),
)
