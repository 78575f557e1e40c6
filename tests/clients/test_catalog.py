"""Cloudflare's SDKs: models, schemas, tasks, authors, and whether a token is good."""

from __future__ import annotations

from dataclasses import replace

import pytest
from clients.record import ClientRecord
from clients.roster import CLOUDFLARE_4, CLOUDFLARE_5, CLOUDFLARE_NODE, Client, RunClient, told
from clients.weights import ALL_MINILM, BGE_BASE, UNKNOWN_MODEL

SDKS = tuple(
    replace(sdk, program=sdk.program.replace("cloudflare", "cloudflare_catalog"))
    for sdk in (CLOUDFLARE_4, CLOUDFLARE_5, CLOUDFLARE_NODE)
)


@pytest.mark.parametrize("client", SDKS, ids=str)
def test_listing_ends(client: Client, run_client: RunClient, record_client: ClientRecord) -> None:
    """The pager asks for pages until one is empty, and has each model once."""
    seen = run_client(client)
    names = [one["name"] for one in seen["models"]]
    assert {ALL_MINILM, BGE_BASE} <= set(names)
    assert len(names) == len(set(names))
    assert [one["name"] for one in seen["found"]] == [BGE_BASE]
    calls = ("ai.models.list, to its end", "ai.models.list: `search`")
    record_client(**client.row(seen["version"]), calls=calls)


@pytest.mark.parametrize("client", SDKS, ids=str)
def test_schema(client: Client, run_client: RunClient, record_client: ClientRecord) -> None:
    """The published structure of a bge model's input; an unknown model has none."""
    seen = run_client(client)
    single, queued = seen["schema"]["input"]["oneOf"]
    assert (single["required"], queued["required"]) == (["text"], ["requests"])
    assert single["properties"]["pooling"]["enum"] == ["mean", "cls"]
    refusal = seen["unknown_schema"]
    assert (refusal["class"], refusal["status"]) == ("NotFoundError", 404)
    assert UNKNOWN_MODEL in refusal["errors"][0]["message"]
    record_client(
        **client.row(seen["version"]),
        calls=("ai.models.schema.get",),
        errors=(told("schema of an unknown model", refusal),),
    )


@pytest.mark.parametrize("client", SDKS, ids=str)
def test_tasks_and_authors(
    client: Client, run_client: RunClient, record_client: ClientRecord
) -> None:
    """What the models do, and whose they are."""
    seen = run_client(client)
    assert "Text Embeddings" in {one["name"] for one in seen["tasks"]}
    assert {"baai", "sentence-transformers"} <= {one["name"] for one in seen["authors"]}
    calls = ("ai.tasks.list", "ai.authors.list")
    record_client(**client.row(seen["version"]), calls=calls)


@pytest.mark.parametrize("client", SDKS, ids=str)
def test_any_token_is_good_where_none_was_made(client: Client, run_client: RunClient) -> None:
    """As it is for every other call."""
    assert run_client(client)["token"]["status"] == "active"
