"""Reranking over HTTP, with a classifier and with encoders, on tiny random models."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import numpy as np
import pytest
from api.in_test_service import MODEL, InTestService
from support.kinds import GEMMA, M3, RERANKER, load_kind, write_kinds

from satsuma.api.app import create_app
from satsuma.assembly import assemble
from satsuma.auth.tokens import TokenStore
from satsuma.errors import OverloadedError
from satsuma.items import answer_alone
from satsuma.settings import Settings
from satsuma.store.manifest import ModelFiles
from satsuma.types import EmbedRequest

PATHS = [
    "/v1/rerank",
    "/client/v4/accounts/me/ai/v1/rerank",
    "/v2/rerank",
    "/client/v4/accounts/me/ai/v2/rerank",
]
QUERY = "what do pandas eat?"
DOCUMENTS = ["bamboo, mostly", "a story about a llama", "the weather is sunny"]
FORMS = (
    "'/documents' must be a list of 1 to 1000 strings, or of objects with a string `text`, none "
    "empty"
)


@pytest.fixture(scope="module")
def all_settings(
    tmp_path_factory: pytest.TempPathFactory, all_minilm_files: ModelFiles
) -> Settings:
    """A folder with a model of each kind."""
    folder = tmp_path_factory.mktemp("kinds")
    write_kinds(folder, all_minilm_files.folder / "tokenizer.json")
    return Settings(models_dir=folder, threads=2)


@pytest.fixture
async def real(all_settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application over them."""
    service = assemble(all_settings)
    transport = httpx.ASGITransport(create_app(service, all_settings, None))
    async with httpx.AsyncClient(transport=transport, base_url="http://satsuma") as one:
        yield one
    await service.close()


def body(**members: Any) -> dict[str, Any]:
    """A valid body, but for what the test changes."""
    return {"model": MODEL, "query": QUERY, "documents": DOCUMENTS, **members}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("model", [RERANKER, M3, GEMMA])
async def test_the_best_document_comes_first(
    real: httpx.AsyncClient, all_settings: Settings, path: str, model: str
) -> None:
    """A classifier's score or an encoder's cosine, as the engine itself gives it."""
    answer = await real.post(path, json=body(model=model))
    assert answer.status_code == 200
    assert list(answer.json()) == ["model", "results", "usage"]
    request = EmbedRequest(model, tuple(DOCUMENTS), query=QUERY)
    scores = answer_alone(request, load_kind(all_settings, model))[:, 0]
    order = np.argsort(-scores, kind="stable").tolist()
    results = answer.json()["results"]
    assert [one["index"] for one in results] == order
    ranked = np.array([one["relevance_score"] for one in results], np.float32)
    np.testing.assert_allclose(ranked, scores[order], atol=1e-6)
    assert all(list(one) == ["index", "relevance_score"] for one in results)
    assert answer.json()["usage"]["total_tokens"] == answer.json()["usage"]["prompt_tokens"] > 0


async def test_an_encoder_reads_its_own_prompts(
    real: httpx.AsyncClient, all_settings: Settings
) -> None:
    """That of a query before the query, that of a document before the others."""
    answer = await real.post(PATHS[0], json=body(model=GEMMA))
    texts = (
        f"task: search result | query: {QUERY}",
        *(f"title: none | text: {one}" for one in DOCUMENTS),
    )
    request = EmbedRequest(GEMMA, texts, prompt_name="")
    query, *others = answer_alone(request, load_kind(all_settings, GEMMA)).astype(np.float64)
    expected = np.array(others) @ query
    by_index = {one["index"]: one["relevance_score"] for one in answer.json()["results"]}
    np.testing.assert_allclose([by_index[index] for index in range(3)], expected, atol=1e-6)


async def test_a_few_documents_with_their_texts(real: httpx.AsyncClient) -> None:
    """In either form of a document; the index is that of the request."""
    documents = [{"text": DOCUMENTS[0], "title": "x"}, *DOCUMENTS[1:]]
    whole = (await real.post(PATHS[0], json=body(model=RERANKER))).json()["results"]
    asked = body(model=RERANKER, documents=documents, top_n=2, return_documents=True)
    few = (await real.post(PATHS[0], json=asked)).json()["results"]
    assert few == [{**one, "document": {"text": DOCUMENTS[one["index"]]}} for one in whole[:2]]


async def test_coheres_newer_clients_are_answered(real: httpx.AsyncClient) -> None:
    """They ask `/v2/rerank` for the same; a refusal is in the same words."""
    sent = body(model=RERANKER, top_n=2, max_tokens_per_doc=4096, priority=0)
    older, newer = [await real.post(path, json=sent) for path in ("/v1/rerank", "/v2/rerank")]
    assert newer.json() == older.json()
    refused = await real.post("/v2/rerank", json=body(query=""))
    assert refused.json()["error"]["param"] == "query"


async def test_null_is_the_same_as_nothing(
    client: httpx.AsyncClient, service: InTestService
) -> None:
    """And what nobody knows is left aside."""
    sent = body(top_n=None, return_documents=None, rank_fields=["text"], max_chunks_per_doc=5)
    assert (await client.post(PATHS[0], json=sent)).status_code == 200
    assert service.requests == [EmbedRequest(MODEL, tuple(DOCUMENTS), query=QUERY)]


@pytest.mark.parametrize(
    ("changed", "param", "message"),
    [
        ({"model": None}, "model", "'/model' must be a model, such as @cf/baai/bge-reranker-base"),
        ({"query": ""}, "query", "'/query' must be a string, not empty"),
        ({"query": ["a"]}, "query", "'/query' must be a string, not empty"),
        ({"documents": None}, "documents", FORMS),
        ({"documents": []}, "documents", FORMS),
        ({"documents": "a"}, "documents", FORMS),
        ({"documents": ["a"] * 1001}, "documents", FORMS),
        ({"documents": ["a", ""]}, "documents", f"{FORMS}; '/documents/1' is none"),
        ({"documents": ["a", {"txt": "b"}]}, "documents", f"{FORMS}; '/documents/1' is none"),
        ({"top_n": 0}, "top_n", "'/top_n' must be a whole number above 0"),
        ({"top_n": 1.0}, "top_n", "'/top_n' must be a whole number above 0"),
        ({"top_n": True}, "top_n", "'/top_n' must be a whole number above 0"),
        ({"return_documents": 1}, "return_documents", "'/return_documents' must be true or false"),
    ],
)
async def test_refuses_with_both_kinds_of_error(
    client: httpx.AsyncClient, changed: dict[str, Any], param: str, message: str
) -> None:
    """As the neighbouring embeddings do, with the member that is at fault."""
    answer = await client.post(PATHS[0], json=body(**changed))
    refusal = answer.json()
    assert answer.status_code == 400
    assert refusal["error"]["param"] == param
    assert refusal["error"]["message"].startswith(f"AiError: Bad input: Error: {message}")
    assert refusal["errors"] == [{"message": refusal["error"]["message"], "code": 5006}]


@pytest.mark.parametrize("content", [b"[]", b"5", b"null"])
async def test_a_body_has_to_be_an_object(client: httpx.AsyncClient, content: bytes) -> None:
    """Anything else is bad input."""
    answer = await client.post(PATHS[0], content=content)
    assert "the body must be a JSON object" in answer.json()["error"]["message"]


async def test_an_unknown_model_is_refused(client: httpx.AsyncClient) -> None:
    """In both kinds of words."""
    answer = await client.post(PATHS[0], json=body(model="@cf/x/y"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "model_not_found")
    assert answer.json()["errors"][0]["code"] == 5007


async def test_a_full_server_says_when_to_come_again(
    client: httpx.AsyncClient, service: InTestService
) -> None:
    """As for embeddings."""
    service.error = OverloadedError("full", retry_after_s=3.0)
    answer = await client.post(PATHS[1], json=body())
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "3")


async def test_wants_a_token_once_there_is_one(
    client: httpx.AsyncClient, tokens: TokenStore
) -> None:
    """As everything that uses the engine."""
    tokens.create("me")
    answer = await client.post(PATHS[0], json=body())
    assert answer.json()["errors"][0]["code"] == 9106
