"""The OpenAPI document: it says what the application does, in every route and every failure."""

from __future__ import annotations

import re
from typing import Any

import httpx
import jsonschema_rs
import orjson
import pytest
from api.in_test_service import InTestService

from satsuma.api.app import create_app
from satsuma.api.envelopes import error_response
from satsuma.api.errors import MethodNotAvailableError, error_rows
from satsuma.api.openapi.components import SHAPES
from satsuma.api.openapi.document import openapi_document
from satsuma.api.openapi.examples import EXAMPLES, REQUEST_ID
from satsuma.api.openapi.failures import example_of, meaning
from satsuma.api.openapi.parts import ALL
from satsuma.api.paths import Dialect
from satsuma.auth.tokens import TokenStore
from satsuma.errors import OverloadedError, SatsumaError
from satsuma.kinds.embedding import EMBEDDINGS_INPUT
from satsuma.settings import Settings

DOCUMENT = openapi_document()
PATHS_OF = {
    Dialect.REST: "/client/v4/accounts/me/ai/run/x",
    Dialect.BINDING: "/run",
    Dialect.OPENAI: "/v1/embeddings",
}


def validator(name: str) -> Any:
    """Read JSON by a component schema."""
    return jsonschema_rs.validator_for(
        {"$ref": f"#/components/schemas/{name}", "components": {"schemas": SHAPES}}
    )


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    """List path, method and operation."""
    return [
        (path, method, operation)
        for path, methods in DOCUMENT["paths"].items()
        for method, operation in methods.items()
    ]


async def test_is_served_to_all(client: httpx.AsyncClient, tokens: TokenStore) -> None:
    """Whoever is about to make a client has no token yet."""
    tokens.create("me")
    answer = await client.get("/openapi.json")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == orjson.loads(orjson.dumps(DOCUMENT))


def test_has_the_routes_that_there_are() -> None:
    """No more and no fewer, but for pages; paths for an empty account only explain that mistake."""
    app = create_app(InTestService(), Settings(), None)
    actual = {
        (re.sub(r":path}", "}", route.path), method.lower())  # type: ignore[attr-defined]
        for route in app.routes
        if route.include_in_schema  # type: ignore[attr-defined]
        for method in route.methods - {"HEAD"}  # type: ignore[attr-defined]
        if "//" not in route.path  # type: ignore[attr-defined]
    }
    assert actual == {(path, method) for path, method, _ in operations()}


def test_every_reference_leads_somewhere() -> None:
    """Schemas, headers and examples."""
    text = orjson.dumps(DOCUMENT).decode()
    found = set(re.findall(r'"\$ref":"#/components/([^"]*)"', text))
    assert len(found) > 40
    for one in found:
        kind, name = one.split("/")
        assert name in DOCUMENT["components"][kind], one


def test_every_component_is_used() -> None:
    """A shape that nothing refers to is a leftover."""
    text = orjson.dumps(DOCUMENT).decode()
    for kind in ("schemas", "headers"):
        for name in DOCUMENT["components"][kind]:
            assert f"#/components/{kind}/{name}" in text


def test_meets_openapis_own_rules() -> None:
    """Each path's parameters are described, each operation has words and a success."""
    for path, _, operation in operations():
        described = {one["name"] for one in operation.get("parameters", ()) if one["in"] == "path"}
        assert described == set(re.findall(r"{(.*?)}", path))
        assert operation["summary"]
        assert "200" in operation["responses"]
        assert all(one["description"] for one in operation["responses"].values())


def test_only_the_servers_own_paths_are_open() -> None:
    """What the document says of tokens is what the application does."""
    assert {path for path, _, one in operations() if one.get("security") == []} == {
        "/health",
        "/ready",
        "/openapi.json",
    }


@pytest.mark.parametrize("path", sorted(DOCUMENT["paths"]))
async def test_the_others_want_a_token(
    client: httpx.AsyncClient, tokens: TokenStore, path: str
) -> None:
    """The same, from the application's side."""
    tokens.create("me")
    (method,) = DOCUMENT["paths"][path]
    answer = await client.request(method, path.replace("{account_id}", "me"))
    is_open = DOCUMENT["paths"][path][method].get("security") == []
    assert (answer.status_code == 200) == is_open
    assert is_open or b"9106" in answer.content


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_examples_are_of_their_shape(name: str) -> None:
    """So are those of the failures, below."""
    validator(name).validate(EXAMPLES[name])


@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize("error_type", sorted(set(ALL), key=str))
def test_failures_are_as_they_are_answered(
    dialect: Dialect, error_type: type[SatsumaError]
) -> None:
    """Example and shape are those of the answer, in each dialect."""
    shape = {Dialect.BINDING: "BindingError", Dialect.OPENAI: "OpenAIError"}.get(dialect, "Error")
    scope = {"path": PATHS_OF[dialect], "satsuma.request_id": REQUEST_ID}
    answer = orjson.loads(error_response(_made(error_type), scope).body)
    assert example_of(error_type, dialect) == answer
    validator(shape).validate(answer)


def _made(error_type: type[SatsumaError]) -> SatsumaError:
    """Make an error that says what it means."""
    says = meaning(error_type)
    if issubclass(error_type, MethodNotAvailableError):
        return error_type(says, allow="GET")
    if issubclass(error_type, OverloadedError):
        return error_type(says, retry_after_s=1.0)
    return error_type(says)


def test_no_status_of_the_table_is_left_out() -> None:
    """A new row of another status must find its way into the document."""
    described = {int(s) for _, _, one in operations() for s in one["responses"]} - {200}
    assert described == {status for _, _, status, _, _ in error_rows()}


@pytest.mark.parametrize(
    ("body", "is_answered"),
    [
        ({"text": "a"}, True),
        ({"text": ["a"], "pooling": "cls", "unknown": 1}, True),
        ({"text": "a", "requests": None}, True),
        ({"text": []}, False),
        ({"requests": [{"text": "a"}]}, True),
        ({"text": 5, "requests": [{"text": "a", "external_reference": 1}]}, True),
        ({"text": "a", "requests": [{"text": "a"}]}, False),
        ({"requests": [{"txt": "a"}]}, False),
        ({"request_id": "x"}, True),
        ({"request_id": "x", "text": "a"}, True),
        ({"request_id": "x", "text": 5}, False),
        ({"request_id": 5}, False),
    ],
)
def test_the_input_is_what_is_answered(body: Any, is_answered: bool) -> None:
    """The served schema, and a poll."""
    assert validator("RunInput").is_valid(body) == is_answered
    assert SHAPES["EmbeddingInput"]["properties"] is EMBEDDINGS_INPUT["oneOf"][0]["properties"]
