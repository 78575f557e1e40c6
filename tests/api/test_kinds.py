"""Every kind of model over HTTP, on tiny random models: inputs, answers, limits, errors, the queue.

What is answered is compared with the engine's own vectors of the same weights.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import numpy as np
import pytest
from support.kinds import (
    GEMMA,
    M3,
    MAX_PAIR_TOKENS,
    MAX_TOKENS,
    PLAIN_RERANKER,
    QWEN3,
    RERANKER,
    load_kind,
    write_kinds,
)

from satsuma.api.app import create_app
from satsuma.assembly import assemble
from satsuma.engine.protocol import Microbatch, Width
from satsuma.errors import InvalidInputError
from satsuma.items import answer_alone
from satsuma.jobs.assembly import open_jobs
from satsuma.service import EmbeddingService
from satsuma.settings import Settings
from satsuma.store.manifest import ModelFiles
from satsuma.types import EmbedRequest, FloatArray, TokenOutput

RUN = "/client/v4/accounts/me/ai/run"
WITHIN_S = 60.0
LONG = "word " * 300  # and [CLS] and [SEP]
QUERY = "what do pandas eat?"
CONTEXTS = ["bamboo, mostly", "a story about a llama", "the weather is sunny"]
INSTRUCTION = "Given a web search query, retrieve relevant passages that answer the query"


@dataclass
class Api:
    """An application over real tiny models."""

    client: httpx.AsyncClient
    settings: Settings

    async def post(self, model: str, body: Any, **query: Any) -> httpx.Response:
        """Call the run route."""
        return await self.client.post(f"{RUN}/{model}", json=body, params=query)

    async def run(self, model: str, body: Any, **query: Any) -> Any:
        """Call it with what must be answered; gives the result."""
        answer = await self.post(model, body, **query)
        assert answer.status_code == 200, answer.text
        return answer.json()["result"]

    async def refuse(self, model: str, body: Any) -> tuple[int, int, str]:
        """Call it with what must be refused; gives status, code and the description."""
        answer = await self.post(model, body)
        (error,) = answer.json()["errors"]
        description = error["message"].split(": ", 2)[2].rpartition(" (")[0]
        return answer.status_code, error["code"], description

    def embed(self, model: str, *texts: str, **options: Any) -> FloatArray:
        """Ask the engine itself."""
        request = EmbedRequest(model, texts, **options)
        return answer_alone(request, load_kind(self.settings, model))


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory: pytest.TempPathFactory, all_minilm_files: ModelFiles) -> Path:
    """One folder for all tests: nothing of it changes."""
    folder = tmp_path_factory.mktemp("kinds")
    return write_kinds(folder, all_minilm_files.folder / "tokenizer.json")


@pytest.fixture
async def api(models_dir: Path, tmp_path: Path) -> AsyncIterator[Api]:
    """The application, with a queue that works."""
    settings = Settings(models_dir=models_dir, data_dir=tmp_path, threads=2)
    service: EmbeddingService = assemble(settings)
    jobs = open_jobs(settings, service.embed, lambda: service.is_stuck)
    transport = httpx.ASGITransport(create_app(service, settings, None, jobs.queue))
    async with AsyncExitStack() as stack:
        client = httpx.AsyncClient(transport=transport, base_url="http://satsuma")
        await stack.enter_async_context(client)
        assert jobs.worker is not None
        jobs.worker.start()
        yield Api(client, settings)
        await jobs.worker.stop()
    jobs.close()
    await service.close()


def assert_same(answered: Any, expected: FloatArray) -> None:
    """Every number is the engine's own, to the last bit."""
    np.testing.assert_array_equal(np.array(answered, np.float32), expected)


def as_contexts(texts: list[str]) -> list[dict[str, str]]:
    """Spell texts as contexts."""
    return [{"text": text} for text in texts]


# --- bge-m3 -----------------------------------------------------------------------------------


async def test_m3_embeds_texts(api: Api) -> None:
    """With the members that users saw, in their order."""
    result = await api.run(M3, {"text": ["hello world", "a"]})
    assert list(result) == ["data", "shape", "pooling", "response", "meta"]
    assert (result["shape"], result["pooling"], result["response"]) == ([2, 36], "cls", None)
    assert result["meta"] == {
        "cost_metric_name_1": "input_tokens",
        "cost_metric_value_1": 7,
        "neurons": pytest.approx(7 * 1075e-6),
    }
    assert_same(result["data"], api.embed(M3, "hello world", "a"))


async def test_m3_embeds_contexts(api: Api) -> None:
    """Without a query, `response` has their vectors."""
    result = await api.run(M3, {"contexts": as_contexts(CONTEXTS)})
    assert list(result) == ["response", "shape", "pooling", "meta"]
    assert (result["shape"], result["pooling"]) == ([3, 36], "cls")
    assert_same(result["response"], api.embed(M3, *CONTEXTS))


async def test_m3_scores_contexts(api: Api) -> None:
    """By the cosine of each with the query, in the order of the contexts."""
    result = await api.run(M3, {"query": QUERY, "contexts": as_contexts(CONTEXTS)})
    assert list(result) == ["response", "meta"]
    assert [one["id"] for one in result["response"]] == [0, 1, 2]
    query, *others = api.embed(M3, QUERY, *CONTEXTS).astype(np.float64)
    scores = [one["score"] for one in result["response"]]
    np.testing.assert_allclose(scores, np.array(others) @ query, atol=1e-6)


@pytest.mark.parametrize(
    "body",
    [
        {"text": LONG},
        {"text": ["a", LONG], "truncate_inputs": False},
        {"contexts": as_contexts(["a", LONG])},
        {"query": "a", "contexts": as_contexts([LONG])},
    ],
)
async def test_m3_refuses_a_long_text(api: Api, body: Any) -> None:
    """In the service's words, with its true length."""
    refused = await api.refuse(M3, body)
    assert refused == (400, 3030, f"Sequence too long: 302 > {MAX_TOKENS}")


async def test_m3_cuts_a_long_text_where_it_may(api: Api) -> None:
    """And says how many it cut, as for every model."""
    answer = await api.post(M3, {"text": ["a", LONG], "truncate_inputs": True})
    assert answer.status_code == 200
    assert answer.headers["x-satsuma-truncated"] == "1"
    assert_same(answer.json()["result"]["data"], api.embed(M3, "a", LONG))


async def test_m3_takes_so_many_tokens_at_once(api: Api) -> None:
    """Counted as the service does, which pads: texts times the longest."""
    contexts = as_contexts(["a"] * 699 + ["word " * 98])
    refused = await api.refuse(M3, {"contexts": contexts})
    message = f"Max context reached {700 * MAX_TOKENS} tokens but model supports only 60000"
    assert refused == (400, 3030, message)
    fits = [*contexts[:599], contexts[-1]]
    assert (await api.run(M3, {"contexts": fits}))["shape"] == [600, 36]


async def test_the_limit_is_the_run_routes_alone(api: Api) -> None:
    """Who asks as OpenAI's clients do gets what fits the deadline, cut where it is too long."""
    body = {"model": M3, "input": ["a"] * 699 + [LONG]}
    answer = await api.client.post("/v1/embeddings", json=body)
    assert (answer.status_code, len(answer.json()["data"])) == (200, 700)


def direct_heads(api: Api, text: str) -> tuple[Any, Any]:
    """Ask the engine itself for what is made of a text's tokens."""
    model = load_kind(api.settings, M3)
    assert model.heads is not None
    (tokens,) = model.tokenizer.tokenize([text])
    states = model.encoder.encode(Microbatch.pack([tokens.ids]), Width.ALL_CORES)
    return model.heads.weigh(states, tokens.ids), model.heads.spread(states)


@pytest.mark.parametrize("form", ["text", "contexts"])
async def test_m3_has_two_more_outputs(api: Api, form: str) -> None:
    """Beside the vectors, those that are asked for, each text's as if it had come alone."""
    texts = ["hello world hello", "a", LONG]
    sent: dict[str, Any] = {"text": texts} if form == "text" else {"contexts": as_contexts(texts)}
    body = {**sent, "truncate_inputs": True, "outputs": ["sparse", "multi_vectors"]}
    result = await api.run(M3, body)
    assert list(result)[-2:] == ["sparse", "multi_vectors"]
    assert_same(result["data" if form == "text" else "response"], api.embed(M3, *texts))
    for text, sparse, vectors in zip(texts, result["sparse"], result["multi_vectors"], strict=True):
        words, expected = direct_heads(api, text)
        assert sparse["indices"] == words.indices.tolist()
        assert_same(sparse["values"], words.values)
        assert_same(vectors, expected)
    assert len(result["multi_vectors"][2]) == MAX_TOKENS - 1
    only = await api.run(M3, {"text": "a", "outputs": ["sparse"]})
    assert "multi_vectors" not in only
    assert len(only["sparse"]) == 1


async def test_m3_has_vectors_of_so_many_tokens_at_once(api: Api) -> None:
    """Each is as long in JSON as a text's, so there are fewer; words are short."""
    body = {"text": [LONG] * 82, "truncate_inputs": True}
    refused = await api.refuse(M3, {**body, "outputs": ["multi_vectors"]})
    assert refused == (400, 3030, "Max context reached 8200 tokens but model supports only 8192")
    assert len((await api.run(M3, {**body, "outputs": ["sparse"]}))["sparse"]) == 82


async def test_a_long_answer_is_the_same_as_a_short_one(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is written part by part, so that nobody else has to wait for it."""
    body = {"text": ["hello world", "a", "b"], "outputs": ["sparse", "multi_vectors"]}
    whole = await api.post(M3, body)
    for module in ("answers", "run"):
        monkeypatch.setattr(f"satsuma.api.{module}.NUMBERS_AT_ONCE", 40)
    assert (await api.post(M3, body)).content == whole.content


async def test_m3_has_its_other_outputs_in_direct_calls_alone(api: Api) -> None:
    """The queue keeps rows of one width; a query asks for scores; other models have no heads."""
    body = {"text": "a", "outputs": ["sparse"]}
    status, code, message = await api.refuse(M3, {"requests": [body]})
    assert (status, code) == (400, 5006)
    assert "`outputs` are for direct calls" in message
    scored = {"query": "a", "contexts": as_contexts(["b"]), "outputs": ["sparse"]}
    assert list(await api.run(M3, scored)) == ["response", "meta"]
    assert (
        "enum dense not in sparse,multi_vectors at '/outputs/0'"
        in (await api.refuse(M3, {"text": "a", "outputs": ["dense"]}))[2]
    )


async def test_outputs_need_their_files(models_dir: Path, tmp_path: Path) -> None:
    """A model without heads says which are missing."""
    linked = tmp_path / "models" / "m3"
    linked.mkdir(parents=True)
    for path in (models_dir / "m3").iterdir():
        if path.suffix != ".pt" and path.name != ".graphs":
            (linked / path.name).symlink_to(path)
    service = assemble(Settings(models_dir=linked.parent, threads=1))
    request = EmbedRequest(M3, ("a",), outputs=(TokenOutput.SPARSE,))
    with pytest.raises(InvalidInputError, match=r"has no sparse_linear\.pt"):
        await service.embed(request)
    await service.close()


# --- the reranker -----------------------------------------------------------------------------


async def test_the_reranker_answers_the_best_first(api: Api) -> None:
    """Each score from 0 to 1, as the engine's own, under its context's index."""
    result = await api.run(RERANKER, {"query": QUERY, "contexts": as_contexts(CONTEXTS)})
    assert list(result) == ["response"]
    expected = api.embed(RERANKER, *CONTEXTS, query=QUERY)[:, 0]
    order = np.argsort(-expected, kind="stable")
    assert [one["id"] for one in result["response"]] == order.tolist()
    assert_same([one["score"] for one in result["response"]], expected[order])
    assert all(0.0 < one["score"] < 1.0 for one in result["response"])


async def test_the_reranker_answers_the_best_few(api: Api) -> None:
    """As many as `top_k` says, or all where there are fewer."""
    body = {"query": QUERY, "contexts": as_contexts(CONTEXTS)}
    whole = (await api.run(RERANKER, body))["response"]
    assert (await api.run(RERANKER, {**body, "top_k": 2}))["response"] == whole[:2]
    assert (await api.run(RERANKER, {**body, "top_k": 9}))["response"] == whole


async def test_a_pair_scores_alike_in_any_company(api: Api) -> None:
    """Not one bit depends on the others."""
    alone = await api.run(RERANKER, {"query": QUERY, "contexts": as_contexts(CONTEXTS[:1])})
    mixed = await api.run(RERANKER, {"query": QUERY, "contexts": as_contexts([*CONTEXTS, LONG])})
    (score,) = (one["score"] for one in mixed["response"] if one["id"] == 0)
    assert alone["response"] == [{"id": 0, "score": score}]


async def test_a_long_pair_is_cut(api: Api) -> None:
    """And counted, as a text is."""
    answer = await api.post(RERANKER, {"query": QUERY, "contexts": as_contexts([LONG, "a"])})
    assert answer.headers["x-satsuma-truncated"] == "1"
    tokens = load_kind(api.settings, RERANKER).tokenizer.tokenize_pairs(QUERY, [LONG])
    assert len(tokens[0]) == MAX_PAIR_TOKENS


async def test_a_classifier_of_ones_own_is_known_by_its_files(api: Api) -> None:
    """No catalog has to say what it takes."""
    body = {"query": QUERY, "contexts": as_contexts(CONTEXTS)}
    assert (await api.run(PLAIN_RERANKER, body)) == await api.run(RERANKER, body)
    path = "/client/v4/accounts/me/ai/models"
    search = await api.client.get(f"{path}/search", params={"search": PLAIN_RERANKER})
    (shown,) = search.json()["result"]
    assert shown["task"]["name"] == "Text Classification"
    schema = await api.client.get(f"{path}/schema", params={"model": PLAIN_RERANKER})
    assert schema.json()["result"]["input"]["required"] == ["query", "contexts"]


@pytest.mark.parametrize("model", [RERANKER, PLAIN_RERANKER])
async def test_a_classifier_gives_no_vectors(api: Api, model: str) -> None:
    """Not by OpenAI's route either, where a score would look like one."""
    answer = await api.client.post("/v1/embeddings", json={"model": model, "input": "a"})
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid_input"
    assert "gives no vectors" in answer.json()["error"]["message"]


# --- qwen3-embedding --------------------------------------------------------------------------


async def test_qwen3_puts_an_instruction_before_queries(api: Api) -> None:
    """The usual one, or the client's; documents are read as they are."""
    usual = await api.run(QWEN3, {"queries": QUERY})
    assert_same(usual["data"], api.embed(QWEN3, f"Instruct: {INSTRUCTION}\nQuery:{QUERY}"))
    own = await api.run(QWEN3, {"queries": [QUERY], "instruction": "Find {it}"})
    assert_same(own["data"], api.embed(QWEN3, f"Instruct: Find {{it}}\nQuery:{QUERY}"))
    documents = await api.run(QWEN3, {"documents": CONTEXTS})
    assert_same(documents["data"], api.embed(QWEN3, *CONTEXTS))
    assert (await api.run(QWEN3, {"text": CONTEXTS})) == documents


async def test_qwen3_answers_with_neurons(api: Api) -> None:
    """Its usage has them, and it says nothing of a pooling."""
    result = await api.run(QWEN3, {"text": "hello world"})
    assert list(result) == ["data", "shape", "usage"]
    assert result["shape"] == [1, 36]
    assert result["usage"] == {
        "prompt_tokens": 4,
        "completion_tokens": 0,
        "total_tokens": 4,
        "neurons": pytest.approx(4 * 1075e-6),
    }


async def test_qwen3_takes_queries_and_documents_at_once(api: Api) -> None:
    """Queries come first, then documents, then `text`."""
    body = {"text": "c", "documents": ["b"], "queries": ["a"]}
    result = await api.run(QWEN3, body)
    texts = (f"Instruct: {INSTRUCTION}\nQuery:a", "b", "c")
    assert_same(result["data"], api.embed(QWEN3, *texts))


@pytest.mark.parametrize(
    ("dimensions", "status"), [(36, 200), (35, 200), (8, 200), (7, 400), (37, 400)]
)
async def test_qwen3_cuts_to_any_width_of_its_range(api: Api, dimensions: int, status: int) -> None:
    """At unit length again; by the run route and by OpenAI's."""
    ran = await api.post(QWEN3, {"text": "a", "dimensions": dimensions})
    body = {"model": QWEN3, "input": "a", "dimensions": dimensions}
    asked = await api.client.post("/v1/embeddings", json=body)
    assert (ran.status_code, asked.status_code) == (status, status)
    if status == 200:
        (vector,) = ran.json()["result"]["data"]
        assert asked.json()["data"][0]["embedding"] == vector
        assert np.linalg.norm(vector) == pytest.approx(1.0)
    else:
        message = f"`dimensions` of {QWEN3} is from 8 to 36, not {dimensions}"
        assert message in asked.json()["error"]["message"]


# --- embeddinggemma ---------------------------------------------------------------------------


async def test_gemma_answers_with_vectors_alone(api: Api) -> None:
    """As published; without a word no prompt comes before a text, as in its own files."""
    result = await api.run(GEMMA, {"text": ["hello world", "a"]})
    assert list(result) == ["shape", "data"]
    assert_same(result["data"], api.embed(GEMMA, "hello world", "a", prompt_name=""))


@pytest.mark.parametrize(
    ("name", "prompt"),
    [("query", "task: search result | query: "), ("document", "title: none | text: "), ("", "")],
)
async def test_gemma_has_prompts_of_its_own(api: Api, name: str, prompt: str) -> None:
    """By the run route and by OpenAI's."""
    expected = api.embed(GEMMA, prompt + "hello", prompt_name="")
    ran = await api.run(GEMMA, {"text": "hello", "prompt_name": name})
    assert_same(ran["data"], expected)
    body = {"model": GEMMA, "input": "hello", "prompt_name": name}
    asked = await api.client.post("/v1/embeddings", json=body)
    assert_same([asked.json()["data"][0]["embedding"]], expected)


async def test_a_prompt_that_a_model_lacks_is_refused(api: Api) -> None:
    """With those that it has."""
    message = f"Error: {GEMMA} has no prompt 'poem'; it has query, document"
    refused = await api.refuse(GEMMA, {"text": "a", "prompt_name": "poem"})
    assert refused == (400, 5006, message)
    body = {"model": M3, "input": "a", "prompt_name": "query"}
    asked = (await api.client.post("/v1/embeddings", json=body)).json()
    assert asked["error"]["param"] == "prompt_name"
    assert "it has none" in asked["error"]["message"]


@pytest.mark.parametrize("dimensions", [18, 9])
async def test_gemma_cuts_to_its_widths(api: Api, dimensions: int) -> None:
    """The first numbers, at unit length again."""
    result = await api.run(GEMMA, {"text": "a", "dimensions": dimensions})
    (whole,) = api.embed(GEMMA, "a").astype(np.float64)
    kept = whole[:dimensions]
    assert result["shape"] == [1, dimensions]
    np.testing.assert_allclose(result["data"][0], kept / np.linalg.norm(kept), atol=1e-6)


async def test_gemma_cuts_to_no_other_width(api: Api) -> None:
    """The message says which there are."""
    status, code, message = await api.refuse(GEMMA, {"text": "a", "dimensions": 12})
    assert (status, code) == (400, 5006)
    assert message == f"Error: `dimensions` of {GEMMA} is one of 9, 18, 36, not 12"


async def test_a_models_usual_prompt_needs_no_word(
    api: Api, models_dir: Path, tmp_path: Path
) -> None:
    """Its own files may name one; an empty name leaves it out."""
    about = "config_sentence_transformers.json"
    linked = tmp_path / "models" / "gemma"
    linked.mkdir(parents=True)
    for path in (models_dir / "gemma").iterdir():
        if path.name not in {about, ".graphs"}:
            (linked / path.name).symlink_to(path)
    usual_document = '{"prompts": {"document": "text: "}, "default_prompt_name": "document"}'
    (linked / about).write_text(usual_document)
    service = assemble(Settings(models_dir=linked.parent, threads=1))
    usual = await service.embed(EmbedRequest(GEMMA, ("a",)))
    bare = await service.embed(EmbedRequest(GEMMA, ("a",), prompt_name=""))
    await service.close()
    assert_same(usual.vectors, api.embed(GEMMA, "text: a", prompt_name=""))
    assert_same(bare.vectors, api.embed(GEMMA, "a", prompt_name=""))


# --- what all of them share -------------------------------------------------------------------

GOOD: list[tuple[str, dict[str, Any]]] = [
    (M3, {"text": "a"}),
    (M3, {"contexts": as_contexts(["a"]), "outputs": ["sparse", "multi_vectors"]}),
    (M3, {"query": "a", "contexts": as_contexts(["a", "b"]), "truncate_inputs": True}),
    (RERANKER, {"query": "a", "contexts": as_contexts(["a", "b"]), "top_k": 1}),
    (QWEN3, {"queries": ["a"], "documents": "b"}),
    (GEMMA, {"text": ["a", "b"], "prompt_name": "query", "dimensions": 9}),
]


@pytest.mark.parametrize(("model", "body"), GOOD)
async def test_what_is_answered_meets_the_served_schema(
    api: Api, model: str, body: dict[str, Any]
) -> None:
    """Input and answer, as `models/schema` has them."""
    path = "/client/v4/accounts/me/ai/models/schema"
    schemas = (await api.client.get(path, params={"model": model})).json()["result"]
    jsonschema_rs.validator_for(schemas["input"]).validate(body)
    result = await api.run(model, body)
    jsonschema_rs.validator_for(schemas["output"]).validate(result)


@pytest.mark.parametrize(("model", "body"), GOOD)
async def test_the_binding_gets_the_bare_answer(api: Api, model: str, body: dict[str, Any]) -> None:
    """The same that REST has in its envelope."""
    answer = await api.client.post(
        "/run?version=3",
        json={"inputs": body, "options": {}},
        headers={"cf-consn-model-id": model},
    )
    assert answer.json() == await api.run(model, body)


async def finish(api: Api, model: str, request_id: str) -> Any:
    """Wait for a job."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            result = await api.run(model, {"request_id": request_id})
            if "responses" in result:
                return result
            await asyncio.sleep(0.01)


async def test_the_queue_takes_every_input_of_m3(api: Api) -> None:
    """Each is answered as alone, without what belongs to the whole job."""
    requests: list[dict[str, Any]] = [
        {"text": ["hello world", "a"], "external_reference": "r"},
        {"contexts": as_contexts(CONTEXTS)},
        {"query": QUERY, "contexts": as_contexts(CONTEXTS)},
        {"text": LONG},
    ]
    job = await api.run(M3, {"requests": requests}, queueRequest="true")
    done = await finish(api, M3, job["request_id"])
    texts, contexts, scored, too_long = done["responses"]
    direct = [await api.run(M3, one) for one in requests[:3]]
    assert list(texts["result"]) == ["data", "shape", "pooling"]
    assert texts["result"]["data"] == direct[0]["data"]
    assert texts["external_reference"] == "r"
    assert list(contexts["result"]) == ["response", "shape", "pooling"]
    assert contexts["result"]["response"] == direct[1]["response"]
    assert scored["result"] == {"response": direct[2]["response"]}
    assert not too_long["success"]
    (error,) = too_long["errors"]
    assert error["code"] == 3030
    assert "Sequence too long: 302 > 100" in error["message"]


async def test_a_queued_pair_is_cut_to_the_best_few(api: Api) -> None:
    """The answer is written long after its input went."""
    job = await api.run(
        RERANKER,
        {"query": QUERY, "contexts": as_contexts(CONTEXTS), "top_k": 1},
        queueRequest="true",
    )
    done = await finish(api, RERANKER, job["request_id"])
    (only,) = done["responses"]
    assert len(only["result"]["response"]) == 1


@pytest.mark.parametrize("size", [10**18, 1e300])
async def test_a_number_beyond_all_reason_does_no_harm(api: Api, size: float) -> None:
    """In a direct call and in the queue, whose writer knows no such number."""
    pair = {"query": QUERY, "contexts": as_contexts(CONTEXTS), "top_k": size}
    whole = (await api.run(RERANKER, pair))["response"]
    job = await api.run(RERANKER, pair, queueRequest="true")
    (queued,) = (await finish(api, RERANKER, job["request_id"]))["responses"]
    assert queued["result"]["response"] == whole
    assert len(whole) == len(CONTEXTS)
    for model in (QWEN3, GEMMA):
        body = {"text": "a", "dimensions": size}
        status, code, message = await api.refuse(model, body)
        assert (status, code) == (400, 5006)
        assert f"`dimensions` of {model}" in message
        job = await api.run(model, body, queueRequest="true")
        (queued,) = (await finish(api, model, job["request_id"]))["responses"]
        assert queued["errors"][0]["code"] == 5006


REFUSED = [
    (M3, {}, "required properties at '/' are 'contexts'"),
    (M3, {"text": "a", "contexts": as_contexts(["a"])}, "oneOf at '/' not met, 2 matches: "),
    (M3, {"text": "a", "truncate_inputs": 1}, "Type mismatch of '/truncate_inputs', 'boolean'"),
    (M3, {"contexts": [{}]}, "required properties at '/contexts/0' are 'text'"),
    (M3, {"contexts": as_contexts(["a"]), "query": ""}, "Length of '/query' must be >= 1"),
    (M3, {"requests": [{"query": "a"}]}, "required properties at '/requests/0' are 'contexts'"),
    (RERANKER, {}, "Error: required properties at '/' are 'query,contexts'"),
    (RERANKER, {"text": "a"}, "Error: required properties at '/' are 'query,contexts'"),
    (RERANKER, {"query": "a", "contexts": []}, "Error: required properties at '/' are 'contexts'"),
    (RERANKER, {"query": "a", "contexts": as_contexts(["a"]), "top_k": 0}, "'/top_k' must be >= 1"),
    (QWEN3, {}, "anyOf at '/' not met, 0 matches: required properties at '/' are 'queries', "),
    (QWEN3, {"text": ["a"] * 33}, "'/text' must NOT have more than 32 items"),
    (QWEN3, {"text": "a", "queries": 5}, "Type mismatch of '/queries', 'string' not in 'number'"),
    (QWEN3, {"requests": [{"text": "a"}]}, "anyOf at '/' not met"),
    (GEMMA, {}, "Error: required properties at '/' are 'text'"),
    (GEMMA, {"text": "a", "dimensions": 0}, "Error: '/dimensions' must be >= 1"),
    (GEMMA, {"text": "a", "dimensions": "9"}, "Type mismatch of '/dimensions', 'integer'"),
]


@pytest.mark.parametrize(("model", "body", "words"), REFUSED)
async def test_what_breaks_the_schema_is_refused(
    api: Api, model: str, body: dict[str, Any], words: str
) -> None:
    """In the published validator's grammar, before any model is loaded."""
    status, code, description = await api.refuse(model, body)
    assert (status, code) == (400, 5006)
    assert words in description
    assert (await api.client.get("/ready")).json()["models"] == []
