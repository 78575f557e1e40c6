from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from api.in_test_service import InTestService
from api.serving import RUN_PATH
from starlette.routing import Route

from satsuma.api.app import create_app
from satsuma.auth.tokens import TokenStore
from satsuma.settings import Settings

WRONG = "w" * 40
MISSING = (
    b'{"result":null,"success":false,"errors":[{"code":9106,"message":'
    b'"Missing X-Auth-Key, X-Auth-Email or Authorization headers"}],"messages":[]}'
)
MALFORMED = (
    b'{"success":false,"errors":[{"code":6003,"message":"Invalid request headers",'
    b'"error_chain":[{"code":6111,"message":"Invalid format for Authorization header"}]}],'
    b'"messages":[],"result":null}'
)
REFUSED = (
    b'{"result":null,"success":false,"errors":[{"code":10000,"message":"Authentication error"}],'
    b'"messages":[]}'
)


@pytest.fixture
def token(tokens: TokenStore) -> str:
    """Give a token of the account `me`, which closes the server to others."""
    return tokens.create("me")[0]


async def _post(client: httpx.AsyncClient, headers: dict[str, str]) -> httpx.Response:
    return await client.post(RUN_PATH, json={"text": "a"}, headers=headers)


@pytest.mark.usefixtures("token")
@pytest.mark.parametrize(
    ("headers", "status", "body"),
    [
        ({}, 400, MISSING),
        ({"x-auth-key": WRONG}, 400, MISSING),
        ({"x-auth-email": "a@b.c"}, 400, MISSING),
        ({"authorization": ""}, 400, MALFORMED),
        ({"authorization": "Bearer"}, 400, MALFORMED),
        ({"authorization": "Bearer "}, 400, MALFORMED),
        ({"authorization": WRONG}, 400, MALFORMED),
        ({"authorization": f"Basic {WRONG}"}, 400, MALFORMED),
        ({"authorization": "Bearer short"}, 400, MALFORMED),
        ({"authorization": f"Bearer {WRONG} {WRONG}"}, 400, MALFORMED),
        ({"authorization": "Bearer " + "ü" * 40}, 400, MALFORMED),
        ({"authorization": "Bearer " + "w" * 257}, 400, MALFORMED),
        ({"authorization": f"Bearer {WRONG}"}, 401, REFUSED),
        ({"x-auth-key": WRONG, "x-auth-email": "a@b.c"}, 401, REFUSED),
    ],
)
async def test_refuses(
    client: httpx.AsyncClient,
    service: InTestService,
    headers: dict[str, str],
    status: int,
    body: bytes,
) -> None:
    """Missing, malformed and wrong credentials get Cloudflare's three answers."""
    raw = {name: value.encode() for name, value in headers.items()}
    answer = await client.post(RUN_PATH, json={"text": "a"}, headers=list(raw.items()))  # type: ignore[arg-type]
    assert (answer.status_code, answer.content) == (status, body)
    assert "cf-ai-req-id" not in answer.headers
    assert service.requests == []


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_accepts_the_accounts_token(
    client: httpx.AsyncClient, token: str, scheme: str
) -> None:
    """A token opens its own account; the scheme's case does not matter."""
    assert (await _post(client, {"authorization": f"{scheme} {token}"})).status_code == 200


async def test_accepts_the_token_as_a_key(client: httpx.AsyncClient, token: str) -> None:
    """Clients of the older header pair send the token as their key."""
    answer = await _post(client, {"x-auth-key": token, "x-auth-email": "a@b.c"})
    assert answer.status_code == 200


async def test_refuses_another_accounts_token(
    client: httpx.AsyncClient, tokens: TokenStore
) -> None:
    """A token opens no other account."""
    secret, _ = tokens.create("other")
    answer = await _post(client, {"authorization": f"Bearer {secret}"})
    assert (answer.status_code, answer.content) == (401, REFUSED)


async def test_revoking_acts_at_once(client: httpx.AsyncClient, tokens: TokenStore) -> None:
    """A revoked token is refused from the next request on, and the server stays closed."""
    secret, record = tokens.create("me")
    tokens.revoke(record.id)
    assert (await _post(client, {"authorization": f"Bearer {secret}"})).content == REFUSED
    assert (await _post(client, {})).content == MISSING


async def test_the_first_token_closes_a_running_server(
    client: httpx.AsyncClient, tmp_path: Path
) -> None:
    """On loopback anybody may come in until another process makes a token."""
    assert (await _post(client, {})).status_code == 200
    assert (await _post(client, {"authorization": "junk"})).status_code == 200
    secret, _ = TokenStore(tmp_path / "tokens.json").create("me")
    assert (await _post(client, {})).content == MISSING
    assert (await _post(client, {"authorization": f"Bearer {secret}"})).status_code == 200


@pytest.mark.usefixtures("token")
async def test_checks_before_the_body_and_the_route(client: httpx.AsyncClient) -> None:
    """Without credentials the answer is one, whether there is a route and the body fits or not."""
    assert (await client.post("/client/v4/nowhere")).content == MISSING
    assert (await client.post(RUN_PATH, content=b"x" * 20_000)).content == MISSING


# What a browser sends of any page without asking the server first: a plain POST, of that page's
# origin, and after DNS rebinding to that page's name.
OF_A_PAGE = {"content-type": "text/plain", "origin": "http://evil.example", "host": "evil.example"}


async def test_a_page_may_use_a_server_without_tokens(client: httpx.AsyncClient) -> None:
    """As docs/security.md has it; it may not read the answer."""
    answer = await client.post(RUN_PATH, content=b'{"text": "a"}', headers=OF_A_PAGE)
    assert answer.status_code == 200
    assert not any(name.startswith("access-control-") for name in answer.headers)


@pytest.mark.usefixtures("token")
@pytest.mark.parametrize("path", [RUN_PATH, f"{RUN_PATH}?queueRequest=true", "/satsuma/stats"])
async def test_a_token_keeps_pages_out(path: str, client: httpx.AsyncClient) -> None:
    """No page knows it, and no browser adds it by itself."""
    answer = await client.post(path, content=b'{"text": "a"}', headers=OF_A_PAGE)
    assert (answer.status_code, answer.content) == (400, MISSING)


async def test_a_malformed_account_is_the_routes_business(
    client: httpx.AsyncClient, token: str
) -> None:
    """With a good token, an impossible account id is told so."""
    headers = {"authorization": f"Bearer {token}"}
    answer = await client.post("/client/v4/accounts//ai/run/@cf/x/y", headers=headers)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (404, 7003)


@pytest.mark.usefixtures("token")
async def test_ops_routes_are_open(client: httpx.AsyncClient) -> None:
    """A probe needs no token."""
    assert (await client.get("/health")).status_code == 200
    assert (await client.get("/ready")).status_code == 200


@pytest.mark.parametrize(
    ("settings", "status"),
    [
        (Settings(host="0.0.0.0"), 401),  # noqa: S104
        (Settings(host="0.0.0.0", no_auth=True), 200),  # noqa: S104
        (Settings(host="127.0.0.1"), 200),
    ],
)
async def test_without_a_store(service: InTestService, settings: Settings, status: int) -> None:
    """Beyond loopback nothing is open by accident."""
    transport = httpx.ASGITransport(create_app(service, settings, None))
    async with httpx.AsyncClient(transport=transport, base_url="http://satsuma") as client:
        answer = await _post(client, {"authorization": f"Bearer {WRONG}"})
    assert answer.status_code == status


@pytest.mark.usefixtures("token")
async def test_every_route_asks_for_a_token(
    service: InTestService, tokens: TokenStore, client: httpx.AsyncClient
) -> None:
    """But for those that say how the server is; so does what is no route."""
    routes = create_app(service, Settings(), tokens).routes
    paths = {route.path for route in routes if isinstance(route, Route)} | {"/nowhere"}
    for path in sorted(paths):
        answer = await client.get(path.replace("{account_id}", "me"))
        if path == "/playground/{name:path}":
            continue
        is_open = path in {"/health", "/ready", "/openapi.json", "/", "/docs"}
        assert (answer.status_code == 200) is is_open, path
        assert is_open or "Missing X-Auth-Key" in answer.text, path
