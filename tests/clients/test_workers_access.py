"""How `env.AI` says that it has no way in, or that something is not there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from clients.weights import ALL_MINILM, Expected, assert_same
from clients.workers.routes import Seen, workerd
from clients.workers.tools import HERE, PACKAGE, ask, run_script, worker_environment
from support.program import Server

Bindings = dict[str, Any]

NO_SERVER = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def bindings(guarded_server: tuple[Server, str], given: dict[str, str]) -> list[dict[str, str]]:
    """`env.AI`s of one Worker: all but the first say by themselves where, or as whom, they go."""
    return [
        {"binding": "AI"},  # as the environment has it
        {"binding": "WRONG", "token": given["WRONG_TOKEN"]},
        {"binding": "RIGHT", "token": f" {guarded_server[1]}\n"},
        {"binding": "NOWHERE", "url": NO_SERVER},
        {"binding": "NO_TLS", "url": guarded_server[0].url.replace("http:", "https:")},
    ]


@pytest.fixture(scope="module", params=["in order", "reversed"])
def seen(
    request: pytest.FixtureRequest,
    bindings: list[dict[str, str]],
    guarded_server: tuple[Server, str],
    clients_home: Path,
    need: Callable[[str], None],
) -> Bindings:
    """What each gave; no binding may have what another one was told."""
    need("workers")
    server, token = guarded_server
    ordered = bindings if request.param == "in order" else bindings[::-1]
    more = {"SATSUMA_URL": server.url, "SATSUMA_TOKEN": token, "MODEL": ALL_MINILM}
    env = worker_environment(clients_home, GIVEN=json.dumps(ordered), **more)
    told: Bindings = json.loads(run_script(HERE / "bindings.js", folder=HERE, env=env))
    return told


def test_a_token_of_the_environment_or_of_the_binding(seen: Bindings, expected: Expected) -> None:
    """Each opens a server that asks for one; blanks around it do not matter."""
    for name in ("AI", "RIGHT"):
        assert_same(seen[name]["run"]["data"], expected(["hello world"], ALL_MINILM))
        assert ALL_MINILM in [model["name"] for model in seen[name]["models"]]


def test_a_wrong_token_beside_right_ones(seen: Bindings) -> None:
    """The refusal reaches the Worker with Cloudflare's code, whichever binding comes first."""
    assert seen["WRONG"]["run"]["message"].startswith("10000: Authentication error")
    assert seen["WRONG"]["models"]["message"] == "Authentication error"


def test_a_server_that_is_not_there(seen: Bindings) -> None:
    """The error says where satsuma was looked for, what to type, and what the runtime said."""
    advice = f"satsuma is not answering at {NO_SERVER}; start it: satsuma serve ("
    assert seen["NOWHERE"]["run"]["message"].startswith(advice)
    assert seen["NOWHERE"]["models"]["message"].startswith(advice)


def test_what_starting_satsuma_would_not_mend(seen: Bindings) -> None:
    """A failure of TLS is not taken for a server that is not there."""
    message = seen["NO_TLS"]["run"]["message"]
    assert message.startswith("satsuma is not answering at https://")
    assert "start it" not in message


FEATURES = {
    "toMarkdown": "AiInternalError",
    "autorag": "AutoRAGNotFoundError",
    "aiSearch": "Error",
    "gateway": "AiGatewayInternalError",
}


@pytest.mark.parametrize(("feature", "error"), FEATURES.items())
def test_a_feature_that_is_not_served(seen: Bindings, feature: str, error: str) -> None:
    """It throws an error of the runtime that says so."""
    message = f"satsuma serves text embeddings only: {feature}() is not there"
    assert seen["missing"][feature] == {"name": error, "message": message}


@pytest.mark.parametrize("feature", ["gateway.run", "websocket"])
def test_a_feature_that_gives_a_response(seen: Bindings, feature: str) -> None:
    """The runtime throws nothing for these; the Response says so."""
    answer = seen["missing"][feature]
    assert answer["status"] == 404
    assert "satsuma serves text embeddings only" in answer["text"]


def test_no_format_can_be_made_markdown(seen: Bindings) -> None:
    """`toMarkdown().supported()` lists none."""
    assert seen["missing"]["supported"] == []


def test_an_error_seen_from_node(seen: Bindings) -> None:
    """`getBindings()` of Miniflare 4 keeps the message, and not the name."""
    refusals = ("5007: No such model", "10000: ", "satsuma is not answering")
    assert seen["fromNode"]["name"] == "Error"
    assert seen["fromNode"]["message"].startswith(refusals)


@pytest.fixture(scope="module")
def outside(
    guarded_server: tuple[Server, str],
    given: dict[str, str],
    clients_home: Path,
    need: Callable[[str], None],
) -> Seen:
    """What `new Ai` of the package does in Node, by its settings."""
    need("workers")
    server, token = guarded_server
    here = {"baseUrl": server.url, "accountId": given["ACCOUNT_ID"]}
    settings = [
        {"name": "right", **here, "token": f"{token}\n"},
        {"name": "none", **here},
        {"name": "wrong", **here, "token": given["WRONG_TOKEN"]},
        {"name": "malformed", **here, "token": "hunter\n2"},
        {"name": "password", "baseUrl": "http://me:hunter2@127.0.0.1"},
        {"name": "nowhere", "baseUrl": "http://127.0.0.1:1024"},
        {"name": "no TLS", "baseUrl": server.url.replace("http:", "https:")},
        {"name": "Cloudflare", "baseUrl": "https://api.cloudflare.com:1024"},
    ]
    env = worker_environment(clients_home, GIVEN=json.dumps(settings), MODEL=ALL_MINILM)
    told: Seen = json.loads(run_script(HERE / "outside.js", folder=HERE, env=env))
    return told


def test_tokens_outside_workers(outside: Seen, expected: Expected) -> None:
    """`new Ai` sends its token, and throws what a binding would."""
    assert_same(outside["right"]["run"]["data"], expected(["hello world"], ALL_MINILM))
    assert outside["none"]["run"]["message"].startswith("9106: Missing")
    assert outside["wrong"]["run"]["message"].startswith("10000: Authentication error")


@pytest.mark.parametrize("name", ["malformed", "password"])
def test_secrets_are_not_repeated(outside: Seen, name: str) -> None:
    """Settings that cannot be right are refused at once, without showing what may be secret."""
    assert outside[name].startswith(("token has", "baseUrl must"))
    assert "hunter" not in outside[name]


def test_servers_that_do_not_answer_outside_workers(outside: Seen) -> None:
    """The cause is told, and "start it" only where that would help."""
    advice = "satsuma is not answering at http://127.0.0.1:1024; start it: satsuma serve ("
    assert outside["nowhere"]["run"]["message"].startswith(advice)
    assert outside["nowhere"]["models"]["message"].startswith(advice)
    assert "satsuma is not answering at https://" in outside["no TLS"]["run"]["message"]
    assert "start it" not in outside["no TLS"]["run"]["message"]
    message = outside["Cloudflare"]["run"]["message"]
    assert message.startswith("api.cloudflare.com is not answering: ")
    assert "satsuma" not in message


@pytest.fixture
def example(
    clients_home: Path, clients_server: Server, need: Callable[[str], None], tmp_path: Path
) -> Iterator[str]:
    """The package's own workerd example, running."""
    need("workers")
    env = worker_environment(clients_home, SATSUMA_URL=clients_server.url)
    with workerd(env, PACKAGE / "workerd" / "worker.js", tmp_path / "example") as url:
        yield url


def test_the_workerd_example(example: str, expected: Expected) -> None:
    """config.capnp and worker.js as they lie in the package."""
    answer = ask(f"{example}/?text=hello%20world&text=another")
    assert_same(answer["data"], expected(["hello world", "another"]))
