"""Cloudflare's own SDKs and plain HTTP: `ai/run`."""

from __future__ import annotations

import pytest
from clients.record import ClientRecord
from clients.roster import (
    CLOUDFLARE_4,
    CLOUDFLARE_5,
    CLOUDFLARE_NODE,
    FETCH,
    REQUESTS,
    Client,
    RunClient,
    told,
)
from clients.weights import UNKNOWN_MODEL, Expected, assert_same

SDKS = (CLOUDFLARE_4, CLOUDFLARE_5, CLOUDFLARE_NODE)
ALL = (*SDKS, REQUESTS, FETCH)


@pytest.mark.parametrize("client", ALL, ids=str)
def test_vectors_are_the_librarys(
    client: Client,
    run_client: RunClient,
    expected: Expected,
    texts: tuple[str, ...],
    record_client: ClientRecord,
) -> None:
    """Of a string, of a list, and with the other pooling."""
    seen = run_client(client)
    by_case = {
        "string": (expected(texts[:1]), "mean", 4),
        "list": (expected(texts), "mean", 24),
        "cls": (expected(texts, pooling="cls"), "cls", 24),
    }
    for case, (vectors, pooling, num_tokens) in by_case.items():
        answer = seen[case]
        assert_same(answer["data"], vectors)
        assert answer["shape"] == list(vectors.shape)
        assert answer["pooling"] == pooling
        assert answer["usage"]["prompt_tokens"] == num_tokens
    calls = ("ai/run: a string", "ai/run: a list", "ai/run: `pooling: cls`")
    record_client(**client.row(seen["version"]), calls=calls)


@pytest.mark.parametrize("client", SDKS, ids=str)
def test_an_environment_variable_is_enough(
    client: Client,
    run_client: RunClient,
    expected: Expected,
    texts: tuple[str, ...],
    record_client: ClientRecord,
) -> None:
    """A program that says nothing of an address reaches this server by CLOUDFLARE_BASE_URL."""
    seen = run_client(client)
    assert_same(seen["by_environment"]["data"], expected(texts))
    record_client(**client.row(seen["version"]), calls=("ai/run: by `CLOUDFLARE_BASE_URL`",))


@pytest.mark.parametrize("client", ALL, ids=str)
def test_refusals_have_cloudflares_codes(
    client: Client, run_client: RunClient, record_client: ClientRecord
) -> None:
    """An unknown model and an empty text reach the caller with status, code and message."""
    seen = run_client(client)
    by_case = {"unknown_model": (5007, UNKNOWN_MODEL), "bad_input": (5006, "'/text' must be >= 1")}
    for case, (code, part) in by_case.items():
        assert seen[case].get("class") == ("BadRequestError" if client in SDKS else None)
        assert seen[case]["status"] == 400
        assert [one["code"] for one in seen[case]["errors"]] == [code]
        assert part in seen[case]["errors"][0]["message"]
    errors = (told("unknown model", seen["unknown_model"]), told("empty text", seen["bad_input"]))
    record_client(**client.row(seen["version"]), errors=errors)
