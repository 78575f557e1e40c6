"""A server that asks for a token: what the clients do with the right one, and with a wrong one."""

from __future__ import annotations

from typing import Any

import pytest
from clients.record import ClientRecord
from clients.roster import (
    AI_SDK,
    CLOUDFLARE_5,
    CLOUDFLARE_NODE,
    LANGCHAIN,
    OPENAI_3,
    OPENAI_NODE,
    Client,
    told,
)
from clients.weights import ALL_MINILM, Expected, assert_same

RAISES = {
    CLOUDFLARE_5: "AuthenticationError",
    OPENAI_3: "AuthenticationError",
    LANGCHAIN: "HTTPError",
    CLOUDFLARE_NODE: "AuthenticationError",
    OPENAI_NODE: "AuthenticationError",
    AI_SDK: "APICallError",
}


@pytest.mark.parametrize("client", RAISES, ids=str)
def test_the_right_token_opens(
    client: Client, guarded: dict[str, Any], expected: Expected, texts: tuple[str, ...]
) -> None:
    """The vectors come."""
    seen = guarded[client.environment]
    assert_same(seen["right"][client.name], expected(texts, model=ALL_MINILM))


@pytest.mark.parametrize("client", RAISES, ids=str)
def test_a_wrong_token_does_not(
    client: Client, guarded: dict[str, Any], record_client: ClientRecord
) -> None:
    """The caller can tell that it is the token."""
    seen = guarded[client.environment]
    refusal = seen["wrong"][client.name]
    assert (refusal["class"], refusal["status"]) == (RAISES[client], 401)
    if client in {CLOUDFLARE_5, CLOUDFLARE_NODE}:
        assert refusal["errors"] == [{"code": 10000, "message": "Authentication error"}]
    version = seen["versions"][client.name]
    record_client(**client.row(version), errors=(told("wrong token", refusal),))


@pytest.mark.parametrize("client", [CLOUDFLARE_5, CLOUDFLARE_NODE], ids=str)
def test_verifying_a_token(
    client: Client, guarded: dict[str, Any], record_client: ClientRecord
) -> None:
    """The right one is active; a wrong one is refused like everywhere else."""
    seen = guarded[client.environment]
    assert seen["verified"] == "active"
    refusal = seen["not_verified"]
    assert (refusal["class"], refusal["status"]) == ("AuthenticationError", 401)
    row = client.row(seen["versions"][client.name])
    record_client(**row, calls=("user.tokens.verify",))
