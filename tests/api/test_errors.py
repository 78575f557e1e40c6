from __future__ import annotations

import logging
from pathlib import Path

import httpx
import pytest
from api.in_test_service import MODEL, InTestService
from api.serving import RUN_PATH

import satsuma.errors as tree
from satsuma.api.errors import TABLE, error_rows, find_answer
from satsuma.errors import (
    ConfigurationError,
    DeadlineExceededError,
    EngineDiedError,
    EngineError,
    HubUnreachableError,
    ModelNotFoundError,
    ModelNotInstalledError,
    OverloadedError,
    SatsumaError,
    SelfTestError,
    ShuttingDownError,
    UnsupportedModelError,
)

DOCS = Path(__file__).parents[2] / "docs"
INTERNAL = "AiError: AiError: An internal server error occured."
BUSY = "AiError: AiError: Capacity temporarily exceeded, please try again."
CLASSES = [one for one in vars(tree).values() if isinstance(one, type)]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ModelNotInstalledError("Pull it"), (503, 5007, "AiError: AiError: Pull it")),
        (UnsupportedModelError("RoPE"), (400, 5007, "AiError: AiError: RoPE")),
        (SelfTestError("Not equal"), (503, 5007, "AiError: AiError: Not equal")),
        (HubUnreachableError("Offline"), (503, 5007, "AiError: AiError: Offline")),
        (OverloadedError("full", retry_after_s=1.2), (429, 3040, BUSY)),
        (DeadlineExceededError("late"), (408, 3007, "AiError: AiError: Request timeout")),
        (ShuttingDownError("Stopping."), (503, 3040, "AiError: AiError: Stopping.")),
        (EngineError("private"), (500, 4007, INTERNAL)),
        (EngineDiedError("private"), (500, 4007, INTERNAL)),
        (ConfigurationError("private"), (500, 4007, INTERNAL)),
        (SatsumaError("private"), (500, 4007, INTERNAL)),
        (RuntimeError("private"), (500, 4007, INTERNAL)),
    ],
)
async def test_answers_what_the_service_raises(
    client: httpx.AsyncClient,
    service: InTestService,
    error: Exception,
    expected: tuple[int, int, str],
) -> None:
    """Each failure has its status, code and message, and one uuid in all places."""
    service.error = error
    status, code, message = expected
    answer = await client.post(RUN_PATH, json={"text": "a"})
    identity = answer.headers["cf-ai-req-id"]
    assert answer.headers["x-request-id"] == identity
    assert answer.headers["content-type"] == "application/json"
    assert answer.status_code == status
    assert answer.text == (
        f'{{"errors":[{{"message":"{message} ({identity})","code":{code}}}],'
        '"success":false,"result":{},"messages":[]}'
    )


@pytest.mark.parametrize(("wait_s", "header"), [(0.0, "1"), (1.0, "1"), (1.2, "2"), (59.5, "60")])
async def test_overload_says_when_to_come_back(
    client: httpx.AsyncClient, service: InTestService, wait_s: float, header: str
) -> None:
    """Retry-After is whole seconds, rounded up, and never 0."""
    service.error = OverloadedError("full", retry_after_s=wait_s)
    answer = await client.post(RUN_PATH, json={"text": "a"})
    assert answer.headers["retry-after"] == header


async def test_a_missing_models_folder_is_not_told(
    client: httpx.AsyncClient, service: InTestService
) -> None:
    """What helps the server's owner is nothing for its clients."""
    service.error = ModelNotFoundError("Put config.json into /home/me/models/mine.")
    message = (await client.post(RUN_PATH, json={"text": "a"})).json()["errors"][0]["message"]
    assert message.startswith(f"AiError: AiError: No such model {MODEL} or task (")


@pytest.mark.parametrize(
    ("error", "level"),
    [
        (ModelNotInstalledError("Pull it"), logging.WARNING),
        (HubUnreachableError("Offline"), logging.WARNING),
        (ShuttingDownError("Stopping."), logging.INFO),
        (EngineError("private"), logging.ERROR),
    ],
)
async def test_log_levels(
    client: httpx.AsyncClient,
    service: InTestService,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    level: int,
) -> None:
    """Only what nobody foresaw is an error; any caller can ask for a model that is not here."""
    caplog.set_level(logging.INFO, "satsuma.api")
    service.error = error
    await client.post(RUN_PATH, json={"text": "a"})
    assert [one.levelno for one in caplog.records if one.name == "satsuma.api"] == [level]


async def test_stopping_closes_the_connection(
    client: httpx.AsyncClient, service: InTestService
) -> None:
    """A client is told to take another connection, and to try again."""
    service.error = ShuttingDownError("Stopping.")
    headers = (await client.post(RUN_PATH, json={"text": "a"})).headers
    assert (headers["connection"], headers["retry-after"]) == ("close", "1")


async def test_unknown_model(client: httpx.AsyncClient) -> None:
    """An unknown model is named as the client wrote it, before the body is looked at."""
    answer = await client.post("/client/v4/accounts/me/ai/run/@cf/x/y", content=b"not JSON")
    identity = answer.headers["cf-ai-req-id"]
    assert answer.status_code == 400
    assert answer.text == (
        '{"errors":[{"message":"AiError: AiError: No such model @cf/x/y or task '
        f'({identity})","code":5007}}],"success":false,"result":{{}},"messages":[]}}'
    )


@pytest.mark.parametrize(
    "path",
    ["/nowhere", "/client/v4/nowhere", "/client/v4/accounts/me/ai/run", "/health/", "/client/v4"],
)
async def test_unroutable_path(client: httpx.AsyncClient, path: str) -> None:
    """A path without a route is a general error, and not the model layer's."""
    answer = await client.post(path, content=b"{}")
    assert answer.status_code == 400
    assert answer.content == (
        b'{"result":null,"success":false,'
        b'"errors":[{"code":7000,"message":"No route for that URI"}],"messages":[]}'
    )
    assert "cf-ai-req-id" not in answer.headers
    assert "x-request-id" in answer.headers


@pytest.mark.parametrize(
    ("method", "path", "allow"), [("GET", RUN_PATH, "POST"), ("POST", "/health", "GET, HEAD")]
)
async def test_wrong_method(client: httpx.AsyncClient, method: str, path: str, allow: str) -> None:
    """A known path says which methods it has."""
    answer = await client.request(method, path)
    message = f"Method {method} not available for that URI."
    assert (answer.status_code, answer.headers["allow"]) == (405, allow)
    assert answer.json()["errors"] == [{"code": 7001, "message": message}]


@pytest.mark.parametrize("account", ["", "a b", "a" * 65, "ü", "a:b"])
async def test_malformed_account(client: httpx.AsyncClient, account: str) -> None:
    """An account id of no possible form cannot be routed to."""
    answer = await client.post(f"/client/v4/accounts/{account}/ai/run/@cf/x/y", content=b"{}")
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["code"]) == (404, 7003)
    assert error["message"].startswith("Could not route to /client/v4/accounts/")
    assert error["message"].endswith(", perhaps your object identifier is invalid?")


async def test_nothing_private_leaves(
    client: httpx.AsyncClient, service: InTestService, caplog: pytest.LogCaptureFixture
) -> None:
    """An unexpected failure's text is in the log with its traceback, and not in the answer."""
    service.error = RuntimeError("a secret path")
    answer = await client.post(RUN_PATH, json={"text": "a text"})
    assert "secret" not in answer.text
    (record,) = caplog.records
    assert record.getMessage() == f"request {answer.headers['x-request-id']}: 500 4007 RuntimeError"
    assert record.exc_info is not None
    assert "a text" not in caplog.text


async def test_logs_no_texts(client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture) -> None:
    """A refused body leaves one line without the body."""
    caplog.set_level(logging.INFO, "satsuma.api")
    answer = await client.post(RUN_PATH, json={"text": "a", "pooling": "private"})
    (record,) = [one for one in caplog.records if one.name == "satsuma.api"]
    assert (
        record.getMessage() == f"request {answer.headers['x-request-id']}: 400 5006 invalid_input"
    )


@pytest.mark.parametrize("error_type", CLASSES)
def test_every_error_is_mapped(error_type: type[SatsumaError]) -> None:
    """Every class of the tree has a row, its own or that of a parent below the root."""
    if error_type is not SatsumaError:
        assert any(one in TABLE for one in error_type.__mro__ if one is not SatsumaError)
    assert find_answer(error_type).status >= 400


def test_a_class_takes_its_nearest_parents_row() -> None:
    """A new class behaves as its parent until it gets a row."""

    class TornCableError(HubUnreachableError):
        """Not in the table."""

    assert find_answer(TornCableError) is find_answer(HubUnreachableError)
    assert TornCableError.__name__ not in {row[0] for row in error_rows()}


def test_every_error_is_documented() -> None:
    """docs/errors.md has each class with its codes and its message."""
    page = (DOCS / "errors.md").read_text(encoding="utf-8")
    generated = page.split("<!-- generated: errors -->")[1].split("<!-- end -->")[0]
    assert len(error_rows()) >= len(CLASSES)
    for name, code, status, number, message in error_rows():
        assert f"| `{name}` | `{code}` | {status} | {number} | {message} |" in generated
