from __future__ import annotations

import json
import timeit
from typing import Any

import httpx
import jsonschema_rs
import pytest
from api.in_test_service import MODEL
from api.known_bodies import NOT_ARRAY, PUBLISHED, STRICTER, P, R, T
from api.serving import RUN_PATH
from hypothesis import given, settings
from hypothesis import strategies as st

from satsuma.api.validation import parse_json, wants_queue
from satsuma.errors import InvalidInputError, MalformedJsonError
from satsuma.kinds import kind_of
from satsuma.kinds.embedding import EMBEDDING, EMBEDDINGS_ANSWER, EMBEDDINGS_INPUT, is_embedding
from satsuma.kinds.explain import explain
from satsuma.kinds.kind import read_input
from satsuma.kinds.schemas import Schema
from satsuma.store.catalog import bundled_catalog
from satsuma.store.manifest import ModelManifest
from satsuma.types import EmbedRequest, Pooling


def parse_request(model: str, body: Any) -> EmbedRequest | None:
    """Read a text encoder's input; None if it is for the queue."""
    parsed = read_input(EMBEDDING, model, body)
    return None if parsed is None else parsed.request


@pytest.mark.parametrize(("body", "message"), PUBLISHED)
def test_refuses_in_the_published_words(body: Any, message: str) -> None:
    """Each refusal is the published validator's, to the letter."""
    with pytest.raises(InvalidInputError) as refused:
        parse_request(MODEL, body)
    assert str(refused.value) == message


@pytest.mark.parametrize(("body", "message"), STRICTER)
def test_refuses_what_cannot_be_embedded(body: Any, message: str) -> None:
    """Where satsuma is stricter, it speaks the same grammar, prefix and tails included."""
    with pytest.raises(InvalidInputError) as refused:
        parse_request(MODEL, body)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"text": "a"}, EmbedRequest(MODEL, ("a",))),
        ({"text": ["b", "a", "b"]}, EmbedRequest(MODEL, ("b", "a", "b"))),
        ({"text": ["a"] * 100}, EmbedRequest(MODEL, ("a",) * 100)),
        ({"text": "a", "pooling": "cls"}, EmbedRequest(MODEL, ("a",), Pooling.CLS)),
        ({"text": "a", "requests": None}, EmbedRequest(MODEL, ("a",))),
        ({"text": "a", "options": {"queueRequest": False}}, EmbedRequest(MODEL, ("a",))),
        ({"text": " ", "unknown": {"deep": []}}, EmbedRequest(MODEL, (" ",))),
    ],
)
def test_accepts(body: Any, expected: EmbedRequest) -> None:
    """A body that meets one alternative of the schema becomes a request."""
    assert parse_request(MODEL, body) == expected


@pytest.mark.parametrize(
    "body",
    [
        {"requests": []},
        {"requests": [{"text": "a"}]},
        {"requests": [{"text": ["a"], "pooling": "cls"}]},
        {"text": 5, "requests": [{"text": "a"}]},
    ],
)
def test_knows_what_is_for_the_queue(body: Any) -> None:
    """It is valid, and no request to embed now."""
    assert parse_request(MODEL, body) is None


def test_a_schema_without_alternatives() -> None:
    """A plain schema's refusal comes first, its notes after a colon."""
    schema = {"properties": EMBEDDINGS_INPUT["oneOf"][0]["properties"], "required": ["text"]}
    mismatch = "Type mismatch of '/text', 'string' not in 'number','integer'"
    assert explain(schema, {}) == T
    assert explain(schema, {"text": 5}) == f"{T}: {mismatch}"
    assert explain(schema, {"text": "a"}) is None


@pytest.mark.parametrize(
    ("body", "offset"),
    [
        (b"", 0),
        (b"{", 1),
        (b"text=a", 1),
        (b'{"text":NaN}', 8),
        (b'{"t\xc3\xa9xt":"\xc3\xa9" x}', 14),
        (b'{"text":"\xff"}', 9),
        (b'{"text":"\xed\xa0\x80"}', 9),
        (b"[" * 5_000 + b"]" * 5_000, 1025),
    ],
)
def test_points_at_the_byte(body: bytes, offset: int) -> None:
    """What is not JSON is told where, counted in bytes."""
    with pytest.raises(MalformedJsonError, match="invalid JSON at byte ") as refused:
        parse_json(body)
    found = int(str(refused.value).split("byte ")[1].split(":")[0])
    assert abs(found - offset) <= 1  # the JSON library's versions differ by one


@pytest.mark.parametrize("text", [b"\\ud800", b"\\udc00", b"a\\ud800b", b"\\ud800\\ud800"])
def test_half_a_character_is_no_text(text: bytes) -> None:
    """A lone surrogate is refused as JSON, before a tokenizer could stumble over it."""
    with pytest.raises(MalformedJsonError, match="invalid JSON at byte "):
        parse_json(b'{"text":"' + text + b'"}')


@pytest.mark.parametrize(
    "body",
    [
        {"requests": [{"text": "a"}] * 9_999 + [{}]},
        {"requests": [{}] * 100_000},
        {"text": "a", "pooling": "x" * 100_000},
        {"text": "a", "pooling": [["x" * 200] * 100] * 100},
        {"text": {"k" * 100_000: 5}},
        {"text": json.loads("[" * 900 + "]" * 900)},
        {"text": "a", "pooling": json.loads("[" * 900 + "]" * 900)},
    ],
)
def test_a_hostile_body_gets_a_short_answer(body: Any) -> None:
    """However long or deep the body, the message stays short, and opens as ever."""
    with pytest.raises(InvalidInputError) as refused:
        parse_request(MODEL, body)
    assert str(refused.value).startswith(P)
    assert len(str(refused.value)) < 8_000


def test_a_valid_body_is_cheap() -> None:
    """A hundred texts are checked in far less than a millisecond."""
    body = {"text": ["some text"] * 100}
    assert min(timeit.repeat(lambda: parse_request(MODEL, body), number=20, repeat=5)) < 0.02


@pytest.mark.parametrize(
    ("content", "description"),
    [
        (b'{"text":""}', f"{P}Length of '/text' must be >= 1 not met, {NOT_ARRAY}{T}, {R}"),
        (b"{}", P + T + ", " + R),
        (b'{"requests":[{}]}', f"{P}{T}, required properties at '/requests/0' are 'text'"),
    ],
)
async def test_a_refusal_over_http(
    client: httpx.AsyncClient, content: bytes, description: str
) -> None:
    """A refusal is framed as Cloudflare's: class, description, request id."""
    answer = await client.post(RUN_PATH, content=content)
    identity = answer.headers["cf-ai-req-id"]
    message = f"AiError: Bad input: Error: {description} ({identity})"
    assert answer.status_code == 400
    assert answer.json()["errors"] == [{"message": message, "code": 5006}]


@pytest.mark.parametrize("content", [b"", b"{", b'{"text":"\xff"}', b"[" * 2_000])
async def test_malformed_json_over_http(client: httpx.AsyncClient, content: bytes) -> None:
    """What is not JSON is refused with 400/5006."""
    answer = await client.post(RUN_PATH, content=content)
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["code"]) == (400, 5006)
    assert error["message"].startswith("AiError: Bad input: Error: invalid JSON at byte ")


async def test_refuses_what_it_cannot_read(client: httpx.AsyncClient) -> None:
    """A compressed body is refused in words."""
    headers = {"content-encoding": "gzip"}
    answer = await client.post(RUN_PATH, content=b'{"text":"a"}', headers=headers)
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["code"]) == (400, 5006)
    assert "Content-Encoding 'gzip' is not supported" in error["message"]


# Bodies near the edge of what is valid: right members with wrong values, wrong ones with right.
SCALARS = st.sampled_from(["", "a", "mean", "cls", 0, 5, 5.0, 5.5, True, False, None])
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner),
    max_leaves=6,
)
TEXTS = st.lists(st.sampled_from(["a", "b"]), max_size=3) | st.sampled_from([100, 101]).map(
    lambda count: ["a"] * count
)
EMBEDDINGS = st.fixed_dictionaries(
    {},
    optional={
        "text": TEXTS | st.just("a") | JSON,
        "pooling": st.sampled_from(["mean", "cls"]) | JSON,
        "unknown": JSON,
    },
)
QUEUES = st.lists(EMBEDDINGS | JSON, max_size=3) | JSON
BODIES = (
    JSON
    | EMBEDDINGS
    | st.builds(lambda body, queue: {**body, "requests": queue}, EMBEDDINGS, QUEUES)
)
SERVED = jsonschema_rs.validator_for(EMBEDDINGS_INPUT)


@settings(max_examples=200, deadline=None)
@given(EMBEDDINGS | JSON)
def test_the_short_cut_decides_as_the_schema_does(body: Any) -> None:
    """What is let through without a look at the schema is what the schema lets through."""
    assert is_embedding(body) == (explain(EMBEDDINGS_INPUT["oneOf"][0], body) is None)


@settings(max_examples=200, deadline=None)
@given(BODIES)
def test_the_served_schema_decides(body: Any) -> None:
    """A plain reader of JSON Schema comes to the same decision as the server."""
    assert SERVED.is_valid(body) == (explain(EMBEDDINGS_INPUT, body) is None)


@settings(max_examples=200, deadline=None)
@given(BODIES)
def test_a_request_is_what_meets_the_schema(body: Any) -> None:
    """The decision of the whole path, short cut included, and the words of the refusal."""
    why = explain(EMBEDDINGS_INPUT, body)
    if why is not None:
        with pytest.raises(InvalidInputError) as refused:
            parse_request(MODEL, body)
        assert str(refused.value) == why
        return
    request = parse_request(MODEL, body)
    is_embedding = explain(EMBEDDINGS_INPUT["oneOf"][0], body) is None
    assert is_embedding == (request is not None)
    if request is not None:
        assert body["text"] in (list(request.texts), *request.texts)


@pytest.mark.parametrize(
    ("value", "is_wanted"),
    [
        (True, True),
        ("true", True),
        ("TRUE", True),
        ("1", True),
        (1, True),
        (False, False),
        ("false", False),
        (0, False),
        ("", False),
        (None, False),
        ({}, False),
    ],
)
def test_the_queue_is_asked_for_in_one_way(value: object, is_wanted: bool) -> None:
    """By REST's query, REST's body and the binding's options alike."""
    assert wants_queue(value) is is_wanted


def test_no_array_of_the_schema_is_endless() -> None:
    """The walk relies on a limit, for a hostile body must not buy a long one.

    That of the requests is a setting, and looked at before the schema (test_queue.py).
    """

    def arrays(schema: Schema) -> list[Schema]:
        inner = [*schema.get("oneOf", ()), *schema.get("properties", {}).values()]
        inner += [schema["items"]] if "items" in schema else []
        found = [schema] if schema.get("type") == "array" else []
        return found + [array for one in inner for array in arrays(one)]

    found = arrays(EMBEDDINGS_INPUT)
    assert len(found) == 3
    assert sum("maxItems" in one for one in found) == 2


@pytest.mark.parametrize("pooling", [None, Pooling.MEAN, Pooling.CLS])
def test_models_differ_in_their_default_pooling_alone(pooling: Pooling | None) -> None:
    """Which decides nothing, so that one schema serves to validate for all."""
    manifest = ModelManifest("@local/a", "", "", (), pooling=pooling)
    schema = json.loads(json.dumps(kind_of(manifest).input))
    expected = json.loads(json.dumps(EMBEDDINGS_INPUT))
    for one in (schema, expected):
        embedding, queued = one["oneOf"]
        queued = queued["properties"]["requests"]["items"]
        defaults = {e["properties"]["pooling"].pop("default", None) for e in (embedding, queued)}
        assert defaults == ({pooling} if one is schema else {"mean"})
    assert schema == expected


def test_the_bundled_text_encoders_have_the_schema_that_validates() -> None:
    """What is served for them is what their requests are compared with."""
    for manifest in bundled_catalog().manifests:
        if manifest.kind:
            continue  # tests/api/test_kinds.py
        assert kind_of(manifest).input == EMBEDDINGS_INPUT


async def test_an_answer_meets_the_served_schema(client: httpx.AsyncClient) -> None:
    """And is told from the queue's answer, which the published schema cannot do."""
    manifest = ModelManifest("@local/a", "", "", (), pooling=Pooling.MEAN)
    output = jsonschema_rs.validator_for(kind_of(manifest).output)
    result = (await client.post(RUN_PATH, json={"text": ["a", "b"]})).json()["result"]
    output.validate(result)
    assert sorted(result) == sorted(EMBEDDINGS_ANSWER["properties"])
    assert not output.is_valid({**result, "request_id": "x"})
    assert not output.is_valid({})


def test_the_words_are_our_own() -> None:
    """Of Cloudflare's schema the structure is taken, not the sentences."""
    schemas = kind_of(ModelManifest("@local/a", "", "", ()))
    text = json.dumps([schemas.input, schemas.output])
    assert "we highly suggest" not in text
    assert "Batch of" not in text
