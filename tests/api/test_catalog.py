"""The catalog's routes over a real store: a package, the user's own folder, the rest not here."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import pytest
from support.models import tiny_files, write_files

from satsuma.api.app import create_app
from satsuma.api.listing import POOLING_PROPERTY
from satsuma.assembly import assemble
from satsuma.auth.tokens import TokenStore
from satsuma.settings import Settings

AI = "/client/v4/accounts/me/ai"
SEARCH = f"{AI}/models/search"
BINDING_SEARCH = "/ai-api/models/search"
BASE = "@cf/baai/bge-base-en-v1.5"
SMALL = "@cf/baai/bge-small-en-v1.5"
LARGE = "@cf/baai/bge-large-en-v1.5"
M3 = "@cf/baai/bge-m3"
RERANKER = "@cf/baai/bge-reranker-base"
QWEN3 = "@cf/qwen/qwen3-embedding-0.6b"
GEMMA = "@cf/google/embeddinggemma-300m"
MINILM = "@hf/sentence-transformers/all-minilm-l6-v2"
MINE = "@local/mine"
BAAI = [SMALL, BASE, LARGE, M3, RERANKER]
CLOUDFLARES = [*BAAI, QWEN3, GEMMA]
CLS_POOLING = b'{"word_embedding_dimension": 16, "pooling_mode_cls_token": true}'
CLS_MODULES = (
    b'[{"type": "sentence_transformers.models.Transformer", "path": ""},'
    b' {"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"}]'
)

PUBLISHED_BASE = {
    "id": "429b9e8b-d99e-44de-91ad-706cf8183658",
    "source": 1,
    "name": BASE,
    "description": "The base model of BAAI's English bge family: 768 numbers for a text of up to "
    "512 tokens",
    "created_at": "2023-09-25 19:21:11.898",
    "tags": [],
    "properties": [
        {"property_id": "async_queue", "value": "true"},
        {
            "property_id": "price",
            "value": [{"unit": "per M input tokens", "price": 0.067, "currency": "USD"}],
        },
        {"property_id": "info", "value": "https://huggingface.co/BAAI/bge-base-en-v1.5"},
        {"property_id": "max_input_tokens", "value": "512"},
        {"property_id": "output_dimensions", "value": "768"},
    ],
}


@pytest.fixture
def models_dir(tmp_path: Path) -> Path:
    """A models' folder with one model of the user's own, whose default pooling is cls."""
    folder = tmp_path / "models"
    files = {"modules.json": CLS_MODULES, "1_Pooling/config.json": CLS_POOLING}
    write_files(folder / "mine", {**tiny_files(), **files})
    return folder


@pytest.fixture
async def client(models_dir: Path, tokens: TokenStore) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application over the real service."""
    async with client_of(models_dir, tokens) as one:
        yield one


@asynccontextmanager
async def client_of(
    models_dir: Path, tokens: TokenStore | None = None
) -> AsyncIterator[httpx.AsyncClient]:
    """Serve a models' folder until the block ends."""
    settings = Settings(models_dir=models_dir)
    service = assemble(settings)
    transport = httpx.ASGITransport(create_app(service, settings, tokens))
    async with httpx.AsyncClient(transport=transport, base_url="http://satsuma") as one:
        yield one
    await service.close()


async def get(client: httpx.AsyncClient, path: str, **query: Any) -> Any:
    """Get what must be there."""
    answer = await client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    return answer.json()


async def names(client: httpx.AsyncClient, **query: Any) -> list[str]:
    """Ask for models, and give their ids."""
    return [one["name"] for one in (await get(client, SEARCH, **query))["result"]]


async def test_a_model_is_shown_as_published(client: httpx.AsyncClient) -> None:
    """Each value is Cloudflare's; besides, pooling, licence, and that the weights are not here."""
    (shown,) = (await get(client, SEARCH, search="bge-base"))["result"]
    task = shown.pop("task")
    assert shown["properties"].pop() == {"property_id": "satsuma_pooling", "value": "mean"}
    assert shown["properties"].pop() == {"property_id": "satsuma_licence", "value": "MIT"}
    assert shown["properties"].pop() == {"property_id": "satsuma_installed", "value": "false"}
    assert shown == PUBLISHED_BASE
    assert (task["id"], task["name"]) == ("0137cdcf-162a-4108-94f2-1ca59e8c65ee", "Text Embeddings")


async def test_keys_come_in_the_published_order(client: httpx.AsyncClient) -> None:
    """Of the envelope, of a model, of its task and of the counts."""
    answer = await get(client, SEARCH, search="bge-base")
    assert list(answer) == ["success", "result", "errors", "messages", "result_info"]
    keys = ["id", "source", "name", "description", "task", "created_at", "tags", "properties"]
    assert list(answer["result"][0]) == keys
    assert list(answer["result"][0]["task"]) == ["id", "name", "description"]
    assert list(answer["result_info"]) == ["count", "page", "per_page", "total_count"]


async def test_lists_the_catalog_and_what_is_here_besides(client: httpx.AsyncClient) -> None:
    """The models that Cloudflare does not have say so by their source."""
    found = (await get(client, SEARCH))["result"]
    assert [(one["name"], one["source"]) for one in found] == [
        (SMALL, 1),
        (BASE, 1),
        (LARGE, 1),
        (M3, 1),
        (RERANKER, 1),
        (QWEN3, 1),
        (GEMMA, 1),
        (MINILM, 2),
        (MINE, 3),
    ]


async def test_says_whose_weights_are_here(client: httpx.AsyncClient) -> None:
    """By a property of satsuma's own; a package's and the user's own count as here."""
    found = (await get(client, SEARCH))["result"]
    installed = {one["name"] for one in found if _property(one, "satsuma_installed") == "true"}
    assert installed == {MINILM, MINE}


async def test_a_damaged_model_is_not_here(client: httpx.AsyncClient, models_dir: Path) -> None:
    """The list is made anew for each call, so a file that goes is noticed."""
    (models_dir / "mine" / "tokenizer.json").unlink()
    (mine,) = (await get(client, SEARCH, search="mine"))["result"]
    assert _property(mine, "satsuma_installed") == "false"


async def test_an_unpublished_model_is_shown_as_far_as_it_is_known(
    client: httpx.AsyncClient,
) -> None:
    """No price and no date are invented, and the id is the same on every machine."""
    (mine,) = (await get(client, SEARCH, search=MINE))["result"]
    assert mine["id"] == "d244671e-cc3b-55e7-8122-a6cd10e0deae"
    assert "created_at" not in mine
    assert mine["task"]["name"] == "Text Embeddings"
    assert mine["properties"] == [
        {"property_id": "max_input_tokens", "value": "64"},
        {"property_id": "output_dimensions", "value": "16"},
        {"property_id": "satsuma_installed", "value": "true"},
        {"property_id": "satsuma_pooling", "value": "cls"},
    ]


async def test_the_usual_pooling_is_told(client: httpx.AsyncClient) -> None:
    """As `satsuma models list` does; a reranker has none."""
    found = (await get(client, SEARCH))["result"]
    told = {
        one["name"]: [p["value"] for p in one["properties"] if p["property_id"] == POOLING_PROPERTY]
        for one in found
    }
    assert told[QWEN3] == ["last_token"]
    assert (told[M3], told[GEMMA], told[RERANKER]) == (["cls"], ["mean"], [])


def _property(shown: dict[str, Any], name: str) -> Any:
    (value,) = [one["value"] for one in shown["properties"] if one["property_id"] == name]
    return value


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"author": "baai"}, BAAI),
        ({"author": "BAAI"}, BAAI),
        ({"author": "sentence-transformers"}, [MINILM]),
        ({"author": "local"}, [MINE]),
        ({"author": "baa"}, []),
        ({"author": ""}, [*CLOUDFLARES, MINILM, MINE]),
        ({"task": "Text Embeddings"}, [SMALL, BASE, LARGE, M3, QWEN3, GEMMA, MINILM, MINE]),
        ({"task": "Text Classification"}, [RERANKER]),
        ({"task": "text embeddings", "search": "LARGE"}, [LARGE]),
        ({"task": "Text Generation"}, []),
        ({"search": "1024 numbers"}, [LARGE, M3, QWEN3]),
        ({"search": "no such thing"}, []),
        ({"source": 1}, CLOUDFLARES),
        ({"source": 3}, [MINE]),
        ({"source": 0}, []),
        ({"hide_experimental": "true", "author": "baai"}, BAAI),
        ({"hide_experimental": "true", "author": "google"}, []),
        ({"include_deprecated": "True", "source": 2}, [MINILM]),
        ({"format": "", "source": 2}, [MINILM]),
        ({"unknown": "x", "source": 2}, [MINILM]),
    ],
)
async def test_filters(
    client: httpx.AsyncClient, query: dict[str, Any], expected: list[str]
) -> None:
    """Each filter narrows the list; an empty one does not."""
    assert await names(client, **query) == expected


async def test_a_beta_can_be_hidden(models_dir: Path) -> None:
    """A folder's own catalog can list one, and a task of its own."""
    (models_dir / "catalog.toml").write_text(BETA)
    async with client_of(models_dir) as client:
        (shown,) = (await get(client, SEARCH, author="acme"))["result"]
        left = await names(client, author="acme", hide_experimental="true")
        tasks = (await get(client, f"{AI}/tasks/search"))["result"]
    assert _property(shown, "beta") == "true"
    assert left == []
    assert [one["name"] for one in tasks] == ["Dreaming", "Text Embeddings", "Text Classification"]
    assert shown["task"] == tasks[0]


BETA = """
[[model]]
id = "@cf/acme/dream"
repository = "acme/dream"
revision = "1"
[model.listing]
id = "x"
source = 1
author = "acme"
task = "Dreaming"
created_at = "2026-01-01 00:00:00.000"
info = ""
is_beta = true
[[model.file]]
path = "config.json"
"""


async def test_pages_end(client: httpx.AsyncClient) -> None:
    """An SDK's pager asks for pages until one is empty, so one must be."""
    pages = []
    for page in range(1, 9):
        answer = await get(client, SEARCH, page=page, per_page=2)
        pages.append([one["name"] for one in answer["result"]])
        counts = {"count": len(pages[-1]), "page": page, "per_page": 2, "total_count": 9}
        assert answer["result_info"] == counts
        if not pages[-1]:
            break
    assert pages == [[SMALL, BASE], [LARGE, M3], [RERANKER, QWEN3], [GEMMA, MINILM], [MINE], []]


async def test_all_is_one_page_unless_asked_otherwise(client: httpx.AsyncClient) -> None:
    """As Cloudflare answers."""
    info = (await get(client, SEARCH))["result_info"]
    assert info == {"count": 9, "page": 1, "per_page": 1000, "total_count": 9}
    assert (await get(client, SEARCH, page=2))["result"] == []


@pytest.mark.parametrize("path", [SEARCH, BINDING_SEARCH])
@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("page=0", "page must be a whole number from 1 to 1000000, not '0'"),
        ("page=-1", "page must be a whole number from 1 to 1000000, not '-1'"),
        ("page=1.0", "page must be a whole number from 1 to 1000000, not '1.0'"),
        ("page=", "page must be a whole number from 1 to 1000000, not ''"),
        ("page=%D9%A1", "page must be a whole number from 1 to 1000000, not '\u0661'"),
        ("page=1&page=2", "page was sent 2 times; send it once"),
        ("per_page=1001", "per_page must be a whole number from 1 to 1000, not '1001'"),
        ("per_page=x", "per_page must be a whole number from 1 to 1000, not 'x'"),
        (
            "per_page=" + "9" * 5_000,
            f"per_page must be a whole number from 1 to 1000, not '{'9' * 200}'",
        ),
        ("source=cf", "source must be a whole number from 0 to 1000, not 'cf'"),
        ("hide_experimental=yes", "hide_experimental must be true or false, not 'yes'"),
        ("include_deprecated=", "include_deprecated must be true or false, not ''"),
        ("author=a&author=b", "author was sent 2 times; send it once"),
        (
            "format=openrouter",
            "format is not available: models are shown in one form, this one",
        ),
    ],
)
async def test_refuses_what_is_no_value(
    client: httpx.AsyncClient, path: str, query: str, message: str
) -> None:
    """In the general envelope, and in words that say what would do."""
    answer = await client.get(f"{path}?{query}")
    assert answer.status_code == 400
    assert answer.json() == {
        "result": None,
        "success": False,
        "errors": [{"code": 1001, "message": message}],
        "messages": [],
    }


async def test_the_binding_gets_the_same_list(client: httpx.AsyncClient) -> None:
    """`env.AI.models(params)` asks without an account and reads the REST envelope."""
    by_binding = await client.get(BINDING_SEARCH, params={"author": "baai", "per_page": 2})
    by_rest = await client.get(SEARCH, params={"author": "baai", "per_page": 2})
    assert by_binding.content == by_rest.content


@pytest.mark.parametrize(
    "name", [BASE, "cf/baai/bge-base-en-v1.5", "@hf/BAAI/bge-base-en-v1.5", MINILM, MINE]
)
async def test_schemas_of_any_name(client: httpx.AsyncClient, name: str) -> None:
    """Aliases included, and models of one's own."""
    answer = await get(client, f"{AI}/models/schema", model=name)
    assert list(answer) == ["result", "success", "errors", "messages"]
    assert list(answer["result"]) == ["input", "output"]
    validator = jsonschema_rs.validator_for(answer["result"]["input"])
    assert validator.is_valid({"text": ["a"]})
    assert not validator.is_valid({"text": []})


async def test_the_default_pooling_is_the_models(client: httpx.AsyncClient) -> None:
    """The one thing in which embedding models' schemas differ."""
    found = [await get(client, f"{AI}/models/schema", model=name) for name in (BASE, MINE)]
    poolings = [one["result"]["input"]["oneOf"][0]["properties"]["pooling"] for one in found]
    assert [one["default"] for one in poolings] == ["mean", "cls"]


@pytest.mark.parametrize(
    "name", ["@cf/acme/none", "@hf/acme/never-pulled", "@local/none", "gpt", "../../etc", "\0"]
)
async def test_an_unknown_models_schema(client: httpx.AsyncClient, name: str) -> None:
    """404 in the general envelope; an id of good form is not yet a model."""
    answer = await client.get(f"{AI}/models/schema", params={"model": name})
    assert answer.status_code == 404
    assert answer.json() == {
        "result": None,
        "success": False,
        "errors": [{"code": 5007, "message": f"No such model {name}"}],
        "messages": [],
    }


@pytest.mark.parametrize("query", ["", "?model="])
async def test_a_schema_of_no_model(client: httpx.AsyncClient, query: str) -> None:
    """The parameter is needed, and the answer shows how it looks."""
    answer = await client.get(f"{AI}/models/schema{query}")
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["code"]) == (400, 1001)
    assert error["message"] == f"model is missing; name one, as in ?model={BASE}"


async def test_tasks_and_authors(client: httpx.AsyncClient) -> None:
    """Each once, in the order of the models."""
    tasks = await get(client, f"{AI}/tasks/search")
    authors = await get(client, f"{AI}/authors/search")
    assert list(tasks) == list(authors) == ["success", "result", "errors", "messages"]
    assert [one["name"] for one in tasks["result"]] == ["Text Embeddings", "Text Classification"]
    names = [one["name"] for one in authors["result"]]
    assert names == ["baai", "qwen", "google", "sentence-transformers", "local"]
    for one in (*tasks["result"], *authors["result"]):
        assert list(one) == ["id", "name", "description"]
        assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", one["id"])


VERIFY = ["/client/v4/user/tokens/verify", "/client/v4/accounts/me/tokens/verify"]


@pytest.mark.parametrize("path", VERIFY)
async def test_verifies_a_token(client: httpx.AsyncClient, tokens: TokenStore, path: str) -> None:
    """With its id, in Cloudflare's words."""
    secret, record = tokens.create("me")
    answer = await client.get(path, headers={"authorization": f"Bearer {secret}"})
    assert answer.content == (
        b'{"result":{"id":"' + record.id.encode() + b'","status":"active"},'
        b'"success":true,"errors":[],"messages":[{"code":10000,'
        b'"message":"This API Token is valid and active","type":null}]}'
    )


@pytest.mark.parametrize("path", VERIFY)
async def test_does_not_verify_another(
    client: httpx.AsyncClient, tokens: TokenStore, path: str
) -> None:
    """A wrong token, and on an account's path another account's, is refused as anywhere."""
    secret, _ = tokens.create("me" if path == VERIFY[0] else "other")
    wrong = "w" * 40 if path == VERIFY[0] else secret
    answer = await client.get(path, headers={"authorization": f"Bearer {wrong}"})
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (401, 10000)
    assert (await client.get(path)).json()["errors"][0]["code"] == 9106


@pytest.mark.parametrize("path", VERIFY)
async def test_without_tokens_any_is_good(client: httpx.AsyncClient, path: str) -> None:
    """A setup script goes on, and the id says why."""
    answer = await get(client, path)
    assert answer["result"] == {"id": "no-token-needed", "status": "active"}


PATHS = [
    SEARCH,
    f"{AI}/models/schema",
    f"{AI}/tasks/search",
    f"{AI}/authors/search",
    *VERIFY,
    BINDING_SEARCH,
]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_can_only_be_read(client: httpx.AsyncClient, method: str, path: str) -> None:
    """Another method is told so."""
    answer = await client.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
    assert answer.json()["errors"][0]["code"] == 7001


@pytest.mark.parametrize("account", ["", "a%20b", "ü", "a" * 65])
@pytest.mark.parametrize("path", [one for one in PATHS if "/accounts/me/" in one])
async def test_a_malformed_account(client: httpx.AsyncClient, path: str, account: str) -> None:
    """Is told so before anything else is looked at."""
    answer = await client.get(path.replace("/me/", f"/{account}/") + "?page=0")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (404, 7003)


@pytest.mark.parametrize("path", PATHS)
async def test_wants_a_token_once_there_is_one(
    client: httpx.AsyncClient, tokens: TokenStore, path: str
) -> None:
    """The catalog tells what is on this machine, so it is as closed as the rest."""
    tokens.create("me")
    assert (await client.get(path)).status_code == 400
