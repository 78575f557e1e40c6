"""The documentation's site: built as `make site` builds it, and what fails that."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
FAULTS = {  # what is added to a page -> what of it is named
    "\n[gone](no-such-page.md)\n": "no-such-page.md",
    "\n[gone](settings.md#no-such-part)\n": "no-such-part",
    "\n[gone](../deploy/no-such-file)\n": "no-such-file",
    "\n![a picture](https://example.com/a.png)\n": "asks another host",
}
FETCHING = {"script": "src", "link": "href", "img": "src", "iframe": "src"}


def build(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Build into a folder, strictly."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    return subprocess.run(
        [*command, *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site."""
    folder = tmp_path_factory.mktemp("site")
    done = build(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


class Fetched(HTMLParser):
    """Gathers what a browser would fetch for a page."""

    def __init__(self) -> None:
        """Begin with nothing."""
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what an element loads."""
        address = dict(attrs).get(FETCHING.get(tag, ""))
        if address:
            self.addresses.append(address)


def test_every_page_is_there(site: Path) -> None:
    """Those of docs/, and the two that the repository keeps at its root."""
    pages = {path.relative_to(DOCS).with_suffix(".html") for path in DOCS.rglob("*.md")}
    built = {path.relative_to(site) for path in site.rglob("*.html")}
    assert pages | {Path("changelog.html"), Path("contributing.html")} <= built


def test_nothing_comes_from_another_host(site: Path) -> None:
    """No font, script, style or picture."""
    for page in site.rglob("*.html"):
        fetched = Fetched()
        fetched.feed(page.read_text(encoding="utf-8"))
        assert fetched.addresses
        assert not [one for one in fetched.addresses if re.match(r"(https?:)?//", one)], page
    for style in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import )[\"']?(https?:)?//", style.read_text()), style


def test_files_outside_of_docs_come_along(site: Path) -> None:
    """Where a page links to one, or to a folder, the site has it."""
    page = (site / "deploy.html").read_text(encoding="utf-8")
    assert 'href="files/deploy/compose.yaml"' in page
    assert 'href="files/deploy/index.html"' in page
    compose = (site / "files" / "deploy" / "compose.yaml").read_bytes()
    assert compose == (ROOT / "deploy" / "compose.yaml").read_bytes()
    assert "Dockerfile" in (site / "files" / "deploy" / "index.html").read_text(encoding="utf-8")


def test_lists_are_lists(site: Path) -> None:
    """Also right below a line of text, as the repository's own pages show them."""
    page = (site / "decisions" / "0017-blueprints.html").read_text(encoding="utf-8")
    assert "<li><em>A family is one file</em>" in page


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """A build of the docs with every fault at once; none of them hides another."""
    folder = tmp_path_factory.mktemp("broken")
    docs = shutil.copytree(DOCS, folder / "docs")
    with (docs / "queue.md").open("a") as file:
        file.writelines(FAULTS)
    (docs / "forgotten.md").write_text("# Forgotten\n")
    config = folder / "mkdocs.yml"
    hooks = ROOT / "scripts" / "site_hooks.py"
    config.write_text(f"INHERIT: {ROOT / 'mkdocs.yml'}\nhooks: ['{hooks}']\nwatch: []\n")
    return build(folder / "site", "--config-file", config)


def warnings_of(built: subprocess.CompletedProcess[str]) -> list[str]:
    """Give the lines that warn, each of which fails a strict build."""
    return [line for line in built.stderr.splitlines() if line.startswith("WARNING")]


def test_a_broken_page_fails_the_build(broken: subprocess.CompletedProcess[str]) -> None:
    """And nothing else does."""
    assert broken.returncode != 0
    assert len(warnings_of(broken)) == len(FAULTS) + 1


@pytest.mark.parametrize("fault", FAULTS.values())
def test_a_fault_is_named(broken: subprocess.CompletedProcess[str], fault: str) -> None:
    """With its page."""
    (warning,) = [line for line in warnings_of(broken) if fault in line]
    assert "queue.md" in warning


def test_a_page_that_nobody_finds_is_named(broken: subprocess.CompletedProcess[str]) -> None:
    """Every page of docs/ is in the navigation."""
    assert 'not included in the "nav"' in broken.stderr
    assert "\n  - forgotten.md\n" in broken.stderr
