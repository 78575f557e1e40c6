"""Real Chromium, the real server and the real all-MiniLM-L6-v2; and an eye on all that it asks for.

A visit ends with a look at what the browser complained of, and whom it called: nothing, and nobody
but the server.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import pytest
from clients.programs import stale_environments
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    expect,
    sync_playwright,
)
from support.kinds import M3, write_kinds
from support.program import Server, environment, satsuma, serving

from satsuma.store.manifest import ModelFiles

ALL_MINILM = "@hf/sentence-transformers/all-minilm-l6-v2"
AXE = Path(__file__).parents[1] / "clients" / "browser" / "node_modules" / "axe-core" / "axe.min.js"
MAX_BODY_BYTES = 20_000  # of the server that asks for a token

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_TIMEOUT_MS = 20_000  # of anything that a test waits for, on a busy machine
_REFUSED = "Failed to load resource"  # how Chromium notes each answer of 4xx and 5xx


def pytest_addoption(parser: pytest.Parser) -> None:
    """`make screenshots` writes the pictures; known only where tests/browser is named."""
    parser.addoption("--screenshots", action="store_true", help="write docs/images/*.png")


@dataclass
class Visit:
    """A page in a browser of its own, and what went on there.

    Attributes:
        page: the page.
        url: the server's address.
        may_be_refused: answers of 4xx, and calls of nobody, are expected.
    """

    page: Page
    url: str
    may_be_refused: bool = False
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def watch(self) -> None:
        """Begin to listen."""
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))

    def check(self) -> None:
        """Nothing was complained of, and nobody else was called."""
        assert self.complaints == []
        hosts = {urlsplit(one).netloc for one in self.requests}
        assert hosts == {urlsplit(self.url).netloc}, self.requests

    def open(self, path: str = "/") -> Page:
        """Go to a page of the server."""
        self.page.goto(self.url + path)
        return self.page

    def open_results(self) -> Page:
        """Go to the playground, and wait for what its first example gives."""
        page = self.open()
        page.locator("#heat td[data-at]").first.wait_for()
        return page

    def _hear(self, message: ConsoleMessage) -> None:
        if self.may_be_refused and message.text.startswith(_REFUSED):
            return
        self.complaints.append(f"{message.type}: {message.text}")


OpenVisit: TypeAlias = Callable[..., Any]
"""`open_visit(url=..., **context)`: a context manager that gives a `Visit`."""


def _skip(reason: str) -> None:
    """Skip, or fail in CI, which has to have everything."""
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium; for one module, since Playwright keeps the thread's event loop meanwhile."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        _skip("needs Chromium; on Debian: apt-get install chromium")
    expect.set_options(timeout=_TIMEOUT_MS)
    with sync_playwright() as playwright:
        one = playwright.chromium.launch(executable_path=found)
        yield one
        one.close()


@pytest.fixture(scope="session")
def playground(
    all_minilm_files: ModelFiles, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server that asks for no token."""
    assert all_minilm_files.folder.is_dir()
    env = environment(tmp_path_factory.mktemp("playground"))
    with serving("--model", ALL_MINILM, env=env) as running:
        yield running


@pytest.fixture(scope="session")
def kinds_playground(
    all_minilm_files: ModelFiles, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server with a small random model of each kind."""
    home = tmp_path_factory.mktemp("kinds")
    models_dir = home / "models"
    write_kinds(models_dir, all_minilm_files.folder / "tokenizer.json")
    with serving("--models-dir", str(models_dir), "--model", M3, env=environment(home)) as running:
        yield running


@pytest.fixture(scope="session")
def guarded_playground(
    all_minilm_files: ModelFiles, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, str]]:
    """A server that asks for a token, and takes small bodies; and a token of the account `shop`."""
    assert all_minilm_files.folder.is_dir()
    env = environment(tmp_path_factory.mktemp("guarded"))
    made = satsuma("token", "create", "--account", "shop", "--json", env=env)
    flags = ("--model", ALL_MINILM, "--max-body-bytes", str(MAX_BODY_BYTES))
    with serving(*flags, env=env) as running:
        yield running, json.loads(made.stdout)["token"]


@pytest.fixture
def open_visit(browser: Browser, playground: Server) -> OpenVisit:
    """Open pages as somebody else each time: no storage, no cache, other wishes."""

    @contextmanager
    def open_one(url: str = "", *, may_be_refused: bool = False, **wishes: Any) -> Iterator[Visit]:
        context: BrowserContext = browser.new_context(**wishes)
        context.set_default_timeout(_TIMEOUT_MS)
        visit = Visit(context.new_page(), url or playground.url, may_be_refused)
        visit.watch()
        try:
            yield visit
            visit.check()
        finally:
            context.close()

    return open_one


@pytest.fixture
def visit(open_visit: OpenVisit) -> Iterator[Visit]:
    """A visit at a desk."""
    with open_visit(viewport={"width": 1440, "height": 900}) as one:
        yield one


@pytest.fixture(scope="session")
def axe() -> str:
    """Deque's accessibility checker, as a script."""
    if "browser" in stale_environments():
        _skip("needs axe-core; run: .venv/bin/python scripts/client_environments.py browser")
    return AXE.read_text(encoding="utf-8")
