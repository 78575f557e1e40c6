"""The clients that the tests run: where each is installed, and how it learns of the server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Outcome = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Client:
    """One package, or a language's own HTTP client.

    Attributes:
        name: as its registry has it.
        language: what the program is written in.
        environment: a file of `python/`, or an npm project beside it.
        program: what is run in it.
        address: how it is told where the server is.
    """

    name: str
    language: str
    environment: str
    program: str
    address: str

    def __str__(self) -> str:
        """Name it for a test's id."""
        return f"{self.name}-{self.environment}"

    def row(self, version: str) -> dict[str, str]:
        """Give the columns of the table that do not depend on what was called."""
        return {
            "client": self.name,
            "language": self.language,
            "version": version,
            "address": self.address,
        }


RunClient = Callable[[Client], Outcome]
"""A client -> what its program told; each program is run once."""

_PYTHON, _JAVASCRIPT = "Python", "JavaScript"

REQUESTS = Client("requests", _PYTHON, "current", "use_requests.py", "the URL")
FETCH = Client("fetch (Node)", _JAVASCRIPT, "node", "use_fetch.mjs", "the URL")

_BASE_URL = "`base_url=`, ending in `/client/v4`"
CLOUDFLARE_5 = Client("cloudflare", _PYTHON, "current", "use_cloudflare.py", _BASE_URL)
CLOUDFLARE_4 = Client("cloudflare", _PYTHON, "previous", "use_cloudflare.py", _BASE_URL)
CLOUDFLARE_NODE = Client(
    "cloudflare", _JAVASCRIPT, "node", "use_cloudflare.mjs", "`baseURL:`, ending in `/client/v4`"
)

_OPENAI_BASE_URL = "`base_url=`, ending in `/ai/v1` or `/v1`"
OPENAI_3 = Client("openai", _PYTHON, "current", "use_openai.py", _OPENAI_BASE_URL)
OPENAI_2 = Client("openai", _PYTHON, "previous", "use_openai.py", _OPENAI_BASE_URL)
OPENAI_NODE = Client(
    "openai", _JAVASCRIPT, "node", "use_openai.mjs", "`baseURL:`, ending in `/ai/v1` or `/v1`"
)
LITELLM = Client(
    "litellm", _PYTHON, "previous", "use_litellm.py", "`api_base=`, ending in `/ai/v1`"
)

LANGCHAIN = Client(
    "langchain-cloudflare",
    _PYTHON,
    "current",
    "use_langchain.py",
    "`api_base_url=`, ending in `/client/v4/accounts`",
)
LLAMA_INDEX = Client(
    "llama-index-embeddings-cloudflare-workersai",
    _PYTHON,
    "current",
    "use_llama_index.py",
    "no setting; its module's constant `API_URL_TEMPLATE` is replaced",
)
AI_SDK = Client(
    "workers-ai-provider", _JAVASCRIPT, "node", "use_ai_sdk.mjs", "`fetch:`, which changes the host"
)
LANGCHAIN_NODE = Client(
    "@langchain/cloudflare",
    _JAVASCRIPT,
    "node",
    "use_langchain.mjs",
    "`binding:`, an object with `run`",
)


def told(what: str, refusal: Outcome) -> str:
    """Say in a line as what a refusal reached the caller."""
    raised = f"`{refusal['class']}`" if refusal.get("class") else "an answer"
    code = next((one["code"] for one in refusal.get("errors", ())), refusal.get("code"))
    status = "" if refusal.get("status") is None else f" with status {refusal['status']}"
    return f"{what}: {raised}{status}" + ("" if code is None else f", code `{code}`")
