"""One server, and other people's clients to call it with.

The clients are installed by scripts/client_environments.py, which `make test` runs.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from clients.programs import (
    HERE,
    INSTALL,
    base_urls,
    node_program,
    program_environment,
    python_program,
    run_program,
    stale_environments,
)
from clients.record import ClientRecord
from clients.roster import Client, Outcome, RunClient
from clients.weights import (
    ALL_MINILM,
    BGE_BASE,
    UNKNOWN_MODEL,
    Expected,
    library,
    token_ids,
    write_bge_base,
)
from support.postgres import Cluster
from support.program import Server, environment, satsuma, serving
from support.ray_cluster import need_ray, serving_on_ray

from satsuma.errors import ModelNotInstalledError

ACCOUNT = "0123456789abcdef0123456789abcdef"
WRONG_TOKEN = "a-token-that-nobody-ever-made-for-anybody"
TEXTS = ("hello world", "The weather is sunny.", "Tell me a joke about satsumas, please.")

Serve = Callable[..., AbstractContextManager[Server]]
RunProgram = Callable[..., Any]
"""A program's name and environment variables -> the JSON that it prints."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """`make clients` writes what the tests saw; known only where tests/clients is named."""
    parser.addoption("--record-clients", action="store_true", help="write docs/clients.json")
    parser.addoption("--on-ray", action="store_true", help="call a Ray cluster, not a server")


@pytest.fixture(scope="session")
def clients_home(tmp_path_factory: pytest.TempPathFactory, record_client: ClientRecord) -> Path:
    """The home of the servers, with models: bge-base of random weights, beside the package's."""
    home = tmp_path_factory.mktemp("clients")
    try:
        write_bge_base(home / "models")
    except ModelNotInstalledError as error:
        record_client.is_partial = True
        pytest.skip(f"needs the tokenizer of requirements-weights.txt: {error}")
    return home


@pytest.fixture(scope="session")
def serve(request: pytest.FixtureRequest) -> Serve:
    """What runs a server: `satsuma serve`, or `make clients-ray` a cluster."""
    if not request.config.getoption("--on-ray", default=False):
        return serving
    need_ray()
    postgres: Cluster = request.getfixturevalue("postgres")

    def on_ray(*flags: str, env: Mapping[str, str]) -> AbstractContextManager[Server]:
        return serving_on_ray("--queue-url", postgres.new_queue(), *flags, env=env)

    return on_ray


@pytest.fixture(scope="session")
def clients_server(clients_home: Path, serve: Serve) -> Iterator[Server]:
    """The one server that every client calls: bge-base and all-MiniLM-L6-v2, no tokens."""
    # Patient: on a busy machine it would refuse what it could not do within a minute.
    patient = {"SATSUMA_MODELS_DIR": str(clients_home / "models"), "SATSUMA_DEADLINE_S": "300"}
    env = environment(clients_home, **patient)
    models = ("--model", BGE_BASE, "--model", ALL_MINILM)
    with serve("--skip-self-test", *models, env=env) as running:
        yield running


@pytest.fixture(scope="session")
def guarded_server(clients_home: Path, serve: Serve) -> Iterator[tuple[Server, str]]:
    """A server that asks for a token, and the token."""
    env = environment(clients_home, SATSUMA_DATA_DIR=str(clients_home / "guarded"))
    made = satsuma("token", "create", "--account", ACCOUNT, "--json", env=env)
    with serve("--model", ALL_MINILM, env=env) as running:
        yield running, json.loads(made.stdout)["token"]


@pytest.fixture(scope="session")
def expected(clients_home: Path, clients_server: Server) -> Iterator[Expected]:
    """The vectors that `satsuma.Ai` gives in this process."""
    assert clients_server.url  # it has made the graphs, which are used again here
    with library(clients_home, clients_home / "models") as embed:
        yield embed


@pytest.fixture(scope="session")
def texts() -> tuple[str, ...]:
    """What the programs embed: the first alone, and all of them."""
    return TEXTS


@pytest.fixture(scope="session")
def given(clients_server: Server) -> dict[str, str]:
    """What every program reads: where the server is, and what to embed."""
    return {
        "SERVER_URL": clients_server.url,
        "ACCOUNT_ID": ACCOUNT,
        "API_TOKEN": "any-token-will-do-where-none-was-made",
        "WRONG_TOKEN": WRONG_TOKEN,
        "MODEL": BGE_BASE,
        "UNKNOWN_MODEL": UNKNOWN_MODEL,
        "TEXTS": json.dumps(TEXTS),
        "TOKEN_IDS": json.dumps(token_ids(TEXTS)),
    }


@pytest.fixture(scope="session")
def need(record_client: ClientRecord) -> Callable[[str], None]:
    """Skip, or in CI fail, where an environment is not installed as its file says."""
    stale = stale_environments()

    def check(name: str) -> None:
        if name not in stale:
            return
        record_client.is_partial = True
        reason = f"the clients of {name} are not installed; run: {INSTALL} {name}"
        if os.environ.get("CI"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)

    return check


@pytest.fixture(scope="session")
def run_python(
    given: dict[str, str], need: Callable[[str], None], clients_home: Path
) -> RunProgram:
    """`run_python(environment, program, **env)`: run tests/clients/python/<program>."""

    def run(name: str, program: str, **env: str) -> Any:
        need(name)
        command = python_program(name, program)
        return run_program(command, HERE, program_environment(clients_home, **given | env))

    return run


@pytest.fixture(scope="session")
def run_node(given: dict[str, str], need: Callable[[str], None], clients_home: Path) -> RunProgram:
    """`run_node(program, project="node", **env)`: run tests/clients/<project>/<program>."""

    def run(program: str, project: str = "node", **env: str) -> Any:
        need(project)
        command = node_program(program, project)
        environ = program_environment(clients_home, **given | env)
        return run_program(command, HERE / project, environ)

    return run


@pytest.fixture(scope="session")
def run_client(run_python: RunProgram, run_node: RunProgram, given: dict[str, str]) -> RunClient:
    """Run a client's program against the shared server, once for all tests."""
    env = base_urls(given["SERVER_URL"], ACCOUNT, given["API_TOKEN"])

    @functools.cache
    def run(client: Client) -> Outcome:
        if client.program.endswith(".mjs"):
            seen: Outcome = run_node(client.program, project=client.environment, **env)
        else:
            seen = run_python(client.environment, client.program, **env)
        return seen

    return run


@pytest.fixture(scope="session")
def guarded(
    guarded_server: tuple[Server, str], run_python: RunProgram, run_node: RunProgram
) -> dict[str, Outcome]:
    """What the programs saw of the server that asks for a token, by environment."""
    server, token = guarded_server
    env = {"SERVER_URL": server.url, "API_TOKEN": token, "MODEL": ALL_MINILM}
    return {
        "current": run_python("current", "use_tokens.py", **env),
        "node": run_node("use_tokens.mjs", **env),
    }


@pytest.fixture(scope="session")
def record_client(request: pytest.FixtureRequest) -> Iterator[ClientRecord]:
    """What was run, for docs/clients.json; see ClientRecord.__call__."""
    config = request.config
    record = ClientRecord(is_recording=config.getoption("--record-clients", default=False))
    record.is_partial |= config.getoption("--on-ray", default=False)
    yield record
    has_failed = request.session.testsfailed > 0
    record.is_partial |= has_failed or not _is_whole_run(request.session)
    record.finish()


def _is_whole_run(session: pytest.Session) -> bool:
    """Tell whether every test of this folder was run, as far as the command line goes."""
    option = session.config.option
    is_selected = (
        option.keyword or option.markexpr or any("::" in arg for arg in session.config.args)
    )
    modules = {item.path for item in session.items}
    return not is_selected and modules >= set(HERE.glob("test_*.py"))
