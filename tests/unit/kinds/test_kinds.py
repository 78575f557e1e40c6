"""What each kind takes: its schema decides as any reader would, and in the published words."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from satsuma.errors import ConfigurationError, InvalidInputError
from satsuma.kinds import KINDS, kind_of
from satsuma.kinds.bge_m3 import BGE_M3, MAX_PADDED_TOKENS
from satsuma.kinds.embedding import embedding_kind
from satsuma.kinds.embeddinggemma import EMBEDDINGGEMMA
from satsuma.kinds.explain import explain
from satsuma.kinds.kind import Kept, Kind, Parsed, parse_valid, read_input
from satsuma.kinds.qwen3 import QWEN3
from satsuma.kinds.reranker import RERANKER
from satsuma.kinds.schemas import MAX_CONTEXTS, Schema
from satsuma.store.catalog import bundled_catalog
from satsuma.store.manifest import ModelManifest
from satsuma.types import EmbedRequest, Pooling

MODEL = "@local/a"
P = "oneOf at '/' not met, 0 matches: "
C = "required properties at '/' are 'contexts'"
T = "required properties at '/' are 'text'"
R = "required properties at '/' are 'requests'"
EMPTY = "Length of '/text' must be >= 1 not met, Type mismatch of '/text', 'array' not in 'string'"
NUMBER = "Type mismatch of '/text', 'string' not in 'number','integer'"

# What the published validator says of the published schemas.
PUBLISHED = [
    (BGE_M3, {}, f"{P}{C}, {T}, {R}"),
    (BGE_M3, {"text": ""}, f"{P}{C}, {EMPTY}, {T}, {R}"),
    (EMBEDDINGGEMMA, {}, T),
    (EMBEDDINGGEMMA, {"text": ""}, f"{T}: {EMPTY}"),
    (EMBEDDINGGEMMA, {"text": 5}, f"{T}: {NUMBER}"),
    (RERANKER, {}, "required properties at '/' are 'query,contexts'"),
    (RERANKER, {"query": "a", "contexts": [{"text": "a"}], "top_k": 0}, "'/top_k' must be >= 1"),
]


@pytest.mark.parametrize(("kind", "body", "message"), PUBLISHED)
def test_refuses_in_the_published_words(kind: Kind, body: Any, message: str) -> None:
    """To the letter."""
    with pytest.raises(InvalidInputError) as refused:
        read_input(kind, MODEL, body)
    assert str(refused.value) == message


CONTEXTS = [{"text": "a"}, {"text": "b"}]
CHECKED: dict[str, Any] = {"may_truncate": False, "max_padded_tokens": MAX_PADDED_TOKENS}
CUT: dict[str, Any] = {"may_truncate": True, "max_padded_tokens": MAX_PADDED_TOKENS}
WEB = "Given a web search query, retrieve relevant passages that answer the query"

ACCEPTED: list[tuple[Kind, Any, EmbedRequest, dict[str, Any]]] = [
    (BGE_M3, {"text": "a"}, EmbedRequest(MODEL, ("a",), **CHECKED), {}),
    (BGE_M3, {"text": "a", "pooling": "max"}, EmbedRequest(MODEL, ("a",), **CHECKED), {}),
    (BGE_M3, {"text": ["a"], "truncate_inputs": True}, EmbedRequest(MODEL, ("a",), **CUT), {}),
    (
        BGE_M3,
        {"text": 5, "contexts": CONTEXTS},
        EmbedRequest(MODEL, ("a", "b"), **CHECKED),
        {"form": "contexts"},
    ),
    (
        BGE_M3,
        {"contexts": CONTEXTS, "query": "q", "truncate_inputs": True},
        EmbedRequest(MODEL, ("a", "b"), query="q", **CUT),
        {},
    ),
    (
        RERANKER,
        {"query": "q", "contexts": CONTEXTS, "unknown": 1},
        EmbedRequest(MODEL, ("a", "b"), query="q"),
        {},
    ),
    (
        RERANKER,
        {"query": "q", "contexts": CONTEXTS, "top_k": 1.0},
        EmbedRequest(MODEL, ("a", "b"), query="q"),
        {"top_k": 1},
    ),
    (
        QWEN3,
        {"documents": "d", "queries": "q", "dimensions": 64},
        EmbedRequest(MODEL, (f"Instruct: {WEB}\nQuery:q", "d"), dimensions=64, prompt_name=""),
        {},
    ),
    (EMBEDDINGGEMMA, {"text": "a"}, EmbedRequest(MODEL, ("a",)), {}),
    (
        EMBEDDINGGEMMA,
        {"text": ["a"], "prompt_name": "query", "dimensions": 128},
        EmbedRequest(MODEL, ("a",), dimensions=128, prompt_name="query"),
        {},
    ),
]


@pytest.mark.parametrize(("kind", "body", "request_", "shown"), ACCEPTED)
def test_accepts(kind: Kind, body: Any, request_: EmbedRequest, shown: dict[str, Any]) -> None:
    """A valid input asks this of the service, alone or among those for the queue."""
    assert read_input(kind, MODEL, body) == Parsed(request_, shown)
    assert parse_valid(kind, MODEL, body) == Parsed(request_, shown)


@pytest.mark.parametrize(
    "requests", [[], [{"text": "a"}], [{"contexts": CONTEXTS, "query": "q"}, {"text": ["a"]}]]
)
def test_m3_knows_what_is_for_the_queue(requests: list[Any]) -> None:
    """Any of its inputs."""
    assert read_input(BGE_M3, MODEL, {"requests": requests}) is None


# Bodies near the edge of what is valid, for every kind at once.
SCALARS = st.sampled_from(["", "a", 0, 1, 1.0, 2.5, -1, True, False, None])
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=5,
)
TEXTS = st.lists(st.sampled_from(["a", "b"]), max_size=3) | st.just("a") | JSON
CONTEXT = st.fixed_dictionaries({}, optional={"text": st.just("a") | JSON, "more": JSON})
BODIES = (
    st.fixed_dictionaries(
        {},
        optional={
            "text": TEXTS,
            "query": st.just("a") | JSON,
            "queries": TEXTS,
            "documents": TEXTS,
            "instruction": SCALARS,
            "contexts": st.lists(CONTEXT, max_size=3) | JSON,
            "truncate_inputs": SCALARS,
            "top_k": SCALARS,
            "dimensions": SCALARS,
            "prompt_name": SCALARS,
            "outputs": st.lists(st.sampled_from(["sparse", "multi_vectors", "x"])) | JSON,
            "requests": st.lists(st.fixed_dictionaries({}, optional={"text": TEXTS})) | JSON,
        },
    )
    | JSON
)


@pytest.mark.parametrize("name", sorted(KINDS))
@settings(max_examples=200, deadline=None)
@given(body=BODIES)
def test_the_served_schema_decides(name: str, body: Any) -> None:
    """A plain reader of JSON Schema comes to the same decision as the server."""
    kind = KINDS[name]
    is_valid = jsonschema_rs.validator_for(kind.input).is_valid(body)
    assert is_valid == (explain(kind.input, body) is None)
    if not is_valid:
        with pytest.raises(InvalidInputError) as refused:
            read_input(kind, MODEL, body)
        assert str(refused.value)
        return
    parsed = read_input(kind, MODEL, body)
    assert parsed is None or parsed.request.texts


@pytest.mark.parametrize("name", sorted(KINDS))
@settings(max_examples=100, deadline=None)
@given(body=BODIES)
def test_the_short_cut_decides_as_the_schema_does(name: str, body: Any) -> None:
    """What is let through without a look at its schema is what that lets through."""
    for form in KINDS[name].forms:
        assert not form.is_plain(body) or explain(form.schema, body) is None


@pytest.mark.parametrize("name", sorted(KINDS))
def test_no_array_of_an_input_is_endless(name: str) -> None:
    """But the queue's, whose limit is a setting."""

    def arrays(schema: Schema, path: str = "") -> list[tuple[str, Schema]]:
        inner = [(path, one) for one in schema.get("oneOf", ())]
        inner += [(f"{path}/{key}", one) for key, one in schema.get("properties", {}).items()]
        inner += [(path, schema["items"])] if "items" in schema else []
        found = [(path, schema)] if schema.get("type") == "array" else []
        return found + [array for place, one in inner for array in arrays(one, place)]

    for path, array in arrays(KINDS[name].input):
        assert path == "/requests" or 1 <= array["maxItems"] <= MAX_CONTEXTS


def test_equal_scores_keep_their_order() -> None:
    """The first context is the first of them."""
    rows = np.array([[0.25], [0.5], [0.5], [0.1]], np.float32)
    answer = RERANKER.render(Kept(rows, "cls"), {"top_k": 3})
    assert answer == {
        "response": [
            {"id": 1, "score": 0.5},
            {"id": 2, "score": 0.5},
            {"id": 0, "score": 0.25},
        ]
    }


def test_scores_are_written_in_few_digits() -> None:
    """Those that read back as the same float32."""
    rows = np.array([[0.1], [1 / 3]], np.float32)
    answer = BGE_M3.render(Kept(rows, "cls"), {})
    assert [one["score"] for one in answer["response"]] == [0.1, 0.33333334]


def test_every_bundled_models_kind_is_known() -> None:
    """And the catalog has a model of each."""
    kinds = {manifest.kind for manifest in bundled_catalog().manifests}
    assert kinds == {"", *KINDS}
    for manifest in bundled_catalog().manifests:
        assert kind_of(manifest).forms


def test_a_decoders_pooling_is_a_choice_of_its_own() -> None:
    """An encoder of the hub that takes the last token: its default is one of what may be asked."""
    manifest = ModelManifest("@hf/a/b", "", "", (), pooling=Pooling.LAST_TOKEN)
    kind = kind_of(manifest)
    pooling = kind.input["oneOf"][0]["properties"]["pooling"]
    assert pooling["default"] == "last_token"
    assert pooling["enum"] == ["mean", "cls", "last_token"]
    answered = kind.render(Kept(np.ones((1, 2), np.float32), Pooling.LAST_TOKEN), {})
    assert answered["pooling"] in kind.answers[0]["properties"]["pooling"]["enum"]
    asked = EmbedRequest(MODEL, ("a",), Pooling.LAST_TOKEN)
    assert read_input(kind, MODEL, {"text": "a", "pooling": "last_token"}) == Parsed(asked)
    with pytest.raises(InvalidInputError, match="enum last_token not in mean,cls"):
        read_input(embedding_kind(Pooling.CLS), MODEL, {"text": "a", "pooling": "last_token"})


def test_an_unknown_kind_is_a_mistake_in_a_catalog() -> None:
    """Of the user's own; the message says which there are."""
    manifest = ModelManifest("@local/a", "", "", (), kind="oracle")
    with pytest.raises(ConfigurationError, match="'oracle'; there are bge-m3, reranker"):
        kind_of(manifest)
