"""LangChain, LlamaIndex and the AI SDK, which call `ai/run` by themselves."""

from __future__ import annotations

import pytest
from clients.record import ClientRecord
from clients.roster import (
    AI_SDK,
    LANGCHAIN,
    LANGCHAIN_NODE,
    LLAMA_INDEX,
    Client,
    RunClient,
    told,
)
from clients.weights import UNKNOWN_MODEL, Expected, assert_same

# The name of a call, as a reader of the table knows it -> what the program calls its outcome.
ONE = {
    LANGCHAIN: {"embed_query": "query", "aembed_query": "async_query"},
    LLAMA_INDEX: {"get_query_embedding": "query", "get_text_embedding": "text"},
    AI_SDK: {"embed": "one"},
    LANGCHAIN_NODE: {"embedQuery": "query"},
}
MANY = {
    LANGCHAIN: {"embed_documents": "documents", "aembed_documents": "async_documents"},
    LLAMA_INDEX: {
        "get_text_embedding_batch": "batch",
        "aget_text_embedding_batch": "async_batch",
    },
    AI_SDK: {"embedMany": "many", "embedMany in calls of two": "in_calls_of_two"},
    LANGCHAIN_NODE: {"embedDocuments": "documents"},
}


@pytest.mark.parametrize("client", ONE, ids=str)
def test_vectors_are_the_librarys(
    client: Client,
    run_client: RunClient,
    expected: Expected,
    texts: tuple[str, ...],
    record_client: ClientRecord,
) -> None:
    """Of one text and of several, by every method that there is."""
    seen, vectors = run_client(client), expected(texts)
    for case in ONE[client].values():
        assert_same([seen[case]], vectors[:1])
    for case in MANY[client].values():
        assert_same(seen[case], vectors)
    record_client(**client.row(seen["version"]), calls=(*ONE[client], *MANY[client]))


def test_langchain_raises_what_requests_raises(
    run_client: RunClient, record_client: ClientRecord
) -> None:
    """The status is in the exception; what was wrong is in its response."""
    seen = run_client(LANGCHAIN)
    for case in ("unknown_model", "bad_input"):
        assert seen[case]["class"] == "HTTPError"
        assert seen[case]["status"] == 400
        assert seen[case]["message"].startswith("400 Client Error: Bad Request for url:")
    errors = (told("unknown model", seen["unknown_model"]), told("empty text", seen["bad_input"]))
    record_client(**LANGCHAIN.row(seen["version"]), errors=errors)


def test_llama_index_hides_what_was_wrong(
    run_client: RunClient, record_client: ClientRecord
) -> None:
    """It looks for `result` alone, which Cloudflare's refusals have too: `{}`."""
    seen = run_client(LLAMA_INDEX)
    for case in ("unknown_model", "bad_input"):
        assert (seen[case]["class"], seen[case]["message"]) == ("KeyError", "'data'")
    record_client(
        **LLAMA_INDEX.row(seen["version"]),
        errors=(
            told("unknown model", seen["unknown_model"]),
            told("empty text", seen["bad_input"]),
        ),
        remarks=("Of a refusal it says `KeyError: 'data'`, and not what was wrong.",),
    )


def test_the_ai_sdk_tells_all_and_does_not_retry(
    run_client: RunClient, record_client: ClientRecord
) -> None:
    """Its message holds the answer's body; more than 100 texts in a call are refused."""
    seen = run_client(AI_SDK)
    parts = {"unknown_model": UNKNOWN_MODEL, "bad_input": "5006", "too_many": "more than 100 items"}
    for case, part in parts.items():
        assert seen[case]["class"] == "APICallError"
        assert seen[case]["status"] == 400
        assert seen[case]["isRetryable"] is False
        assert part in seen[case]["message"]
    record_client(
        **AI_SDK.row(seen["version"]),
        errors=(
            told("unknown model", seen["unknown_model"]),
            told("empty text", seen["bad_input"]),
            told("101 texts in one call", seen["too_many"]),
        ),
        remarks=(
            f"With `ai` {seen['ai_version']}.",
            "For more than 100 texts, set `maxEmbeddingsPerCall: 100`.",
        ),
    )


def test_langchain_in_javascript_passes_the_bindings_error_on(
    run_client: RunClient, record_client: ClientRecord
) -> None:
    """What the binding throws reaches the caller, and is not tried again."""
    seen = run_client(LANGCHAIN_NODE)
    refusal = seen["unknown_model"]
    assert (refusal["class"], refusal["status"]) == ("Error", 400)
    assert f"No such model {UNKNOWN_MODEL}" in refusal["message"]
    assert seen["num_refused"] == 1
    record_client(
        **LANGCHAIN_NODE.row(seen["version"]),
        errors=(told("unknown model", refusal),),
        remarks=("It takes a Worker's `env.AI`; outside a Worker, any object with its `run`.",),
    )
