"""OpenAI's SDKs, and litellm, which uses one of them: `ai/v1` and plain `/v1`."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest
from clients.record import ClientRecord
from clients.roster import LITELLM, OPENAI_2, OPENAI_3, OPENAI_NODE, Client, RunClient, told
from clients.weights import ALL_MINILM, BGE_BASE, UNKNOWN_MODEL, Expected, assert_same

SDKS = (OPENAI_2, OPENAI_3, OPENAI_NODE)
# What the program calls an outcome -> what was asked for.
ALL_TEXTS = {
    "list": "embeddings: a list",
    "floats": "embeddings: `encoding_format: float`",
    "base64": "embeddings: `encoding_format: base64`",
    "token_id_lists": "embeddings: lists of token ids",
    "plain": "embeddings: by `/v1`",
    "by_environment": "embeddings: by `OPENAI_BASE_URL`",
}
ONE_TEXT = {"string": "embeddings: a string", "token_ids": "embeddings: token ids"}


def vectors_of(answer: dict[str, Any]) -> list[Any]:
    """Take the vectors out, decoding those that the caller asked for in base64."""
    rows = [item["embedding"] for item in answer["data"]]
    return [
        np.frombuffer(base64.b64decode(row), "<f4") if isinstance(row, str) else row for row in rows
    ]


@pytest.mark.parametrize("client", [*SDKS, LITELLM], ids=str)
def test_vectors_are_the_librarys(
    client: Client,
    run_client: RunClient,
    expected: Expected,
    texts: tuple[str, ...],
    record_client: ClientRecord,
) -> None:
    """Whatever the form of the input, and whatever the encoding."""
    seen, vectors = run_client(client), expected(texts)
    cases = {case: call for case, call in (ONE_TEXT | ALL_TEXTS).items() if case in seen}
    for case in cases:
        wanted = vectors[:1] if case in ONE_TEXT else vectors
        assert_same(vectors_of(seen[case]), wanted)
        assert [item["index"] for item in seen[case]["data"]] == list(range(len(wanted)))
        assert seen[case]["model"] == BGE_BASE
        assert seen[case]["usage"]["prompt_tokens"] == (4 if case in ONE_TEXT else 24)
    assert {"string", "list", "base64", "token_id_lists"} <= cases.keys()
    record_client(**client.row(seen["version"]), calls=cases.values())


@pytest.mark.parametrize("client", SDKS, ids=str)
def test_pooling_is_satsumas_addition(
    client: Client,
    run_client: RunClient,
    expected: Expected,
    texts: tuple[str, ...],
    record_client: ClientRecord,
) -> None:
    """A member that OpenAI does not know passes through each SDK."""
    seen = run_client(client)
    assert_same(vectors_of(seen["cls"]), expected(texts, pooling="cls"))
    record_client(**client.row(seen["version"]), calls=("embeddings: `pooling: cls`",))


@pytest.mark.parametrize("client", SDKS, ids=str)
def test_models_are_listed(
    client: Client, run_client: RunClient, record_client: ClientRecord
) -> None:
    """Those that can answer, and one by its name with slashes in it."""
    seen = run_client(client)
    assert {one["id"] for one in seen["models"]} == {ALL_MINILM, BGE_BASE}
    assert seen["model"]["id"] == BGE_BASE
    assert {one["object"] for one in (*seen["models"], seen["model"])} == {"model"}
    record_client(**client.row(seen["version"]), calls=("models.list", "models.retrieve"))


@pytest.mark.parametrize("client", SDKS, ids=str)
def test_refusals_are_openais(
    client: Client, run_client: RunClient, record_client: ClientRecord
) -> None:
    """Class, status, code, parameter and message, as a caller reads them off the exception."""
    seen = run_client(client)
    by_case = {
        "unknown_model": ("BadRequestError", 400, "model_not_found", "model", UNKNOWN_MODEL),
        "bad_input": ("BadRequestError", 400, "invalid_input", "input", "'/input' must be >= 1"),
        "dimensions": ("BadRequestError", 400, "invalid_input", "dimensions", "768 dimensions"),
        "model_not_listed": ("NotFoundError", 404, "model_not_found", "model", UNKNOWN_MODEL),
    }
    for case, (*wanted, part) in by_case.items():
        assert [seen[case][name] for name in ("class", "status", "code", "param")] == wanted
        assert part in seen[case]["message"]
    errors = [told(case.replace("_", " "), seen[case]) for case in by_case]
    record_client(**client.row(seen["version"]), errors=errors)


def test_litellm_gives_refusals_classes_of_its_own(
    run_client: RunClient, record_client: ClientRecord
) -> None:
    """The code `model_not_found` becomes its NotFoundError."""
    seen = run_client(LITELLM)
    by_case = {
        "unknown_model": ("NotFoundError", f"No such model {UNKNOWN_MODEL}"),
        "bad_input": ("BadRequestError", "'/input/0' must be >= 1"),
    }
    for case, (name, part) in by_case.items():
        assert seen[case]["class"] == name
        assert part in seen[case]["message"]
    own_route = seen["own_route"]["message"]
    assert "Unmapped LLM provider" in own_route
    assert "custom_llm_provider=cloudflare" in own_route
    record_client(
        **LITELLM.row(seen["version"]),
        errors=(
            told("unknown model", seen["unknown_model"]),
            told("empty text", seen["bad_input"]),
        ),
        remarks=("As `openai/@cf/...`; embeddings under `cloudflare/` are not in this release.",),
    )
