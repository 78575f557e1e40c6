"""What the site has beside docs/; MkDocs calls these while it builds (`hooks` in mkdocs.yml).

The pages are written to be read in the repository, and link to its files. Here CHANGELOG.md and
CONTRIBUTING.md become pages, every other file that is linked to lies below files/, and a folder is
a page that lists it. Nothing may come from another host: a page that asks for it fails the build.
"""

from __future__ import annotations

import logging
import posixpath
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT: Final = Path(__file__).resolve().parent.parent
_LOG: Final = logging.getLogger("mkdocs.satsuma")

# file of the repository -> its place in the site
_PLACES: Final = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "src/satsuma/playground/static/icon.svg": "icon.svg",
}
_SOURCES: Final = {place: source for source, place in _PLACES.items()}
_FILES: Final = "files/"
_LIST: Final = "/index.md"  # what stands for a folder

_LINK: Final = re.compile(r"(?<=\]\()(?P<path>[^)\s#]+)")
_FENCE: Final = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)
_LIST_BELOW_TEXT: Final = re.compile(r"^(?![-\s])(.+)\n(?=- )", re.MULTILINE)
_FOREIGN: Final = re.compile(
    r"<(?:script|link|img|iframe|source)\b[^>]*\b(?:src|href)=\"(?:https?:)?//[^\"]*\""
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what lies outside of docs/, and what that links to."""
    for place in _SOURCES:
        files.append(_make_file(config, place))
    waiting = list(files.documentation_pages())
    while waiting:
        page = waiting.pop()
        for place in _places_linked(page):
            if files.get_file_from_path(place) is None:
                added = _make_file(config, place)
                files.append(added)
                waiting += [added] if added.is_documentation_page() else []
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Point a page's links to where their files are in the site, and read lists as GitHub does."""
    place = page.file.src_uri
    parts = _FENCE.split(markdown)
    for number in range(0, len(parts), 2):
        text = _LINK.sub(partial(_point, place), parts[number])
        parts[number] = _LIST_BELOW_TEXT.sub(r"\1\n\n", text)
    return "".join(parts)


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:  # noqa: ARG001
    """Warn of what a browser would fetch from elsewhere; a strict build fails then."""
    for tag in _FOREIGN.findall(output):
        _LOG.warning("%s asks another host: %s", page.file.src_uri, tag)
    return output


def _point(place: str, match: re.Match[str]) -> str:
    target = _target_of(match["path"], place)
    return match["path"] if target is None else posixpath.relpath(target, posixpath.dirname(place))


def _places_linked(page: File) -> Iterator[str]:
    for text in _FENCE.split(page.content_string)[::2]:
        for match in _LINK.finditer(text):
            target = _target_of(match["path"], page.src_uri)
            if target is not None and (target in _SOURCES or target.startswith(_FILES)):
                yield target


def _target_of(link: str, place: str) -> str | None:
    """Tell where in the site a page's link leads; None if to no file of the repository."""
    if "://" in link or link.startswith(("mailto:", "/")):
        return None
    source = posixpath.normpath(posixpath.join(posixpath.dirname(_source_of(place)), link))
    if source.startswith("..") or not (ROOT / source).exists():
        return None
    if source.startswith("docs/"):
        return source.removeprefix("docs/")
    listed = _LIST if (ROOT / source).is_dir() else ""
    return _PLACES.get(source, f"{_FILES}{source}{listed}")


def _source_of(place: str) -> str:
    if place.startswith(_FILES):
        return place.removeprefix(_FILES)
    return _SOURCES.get(place, f"docs/{place}")


def _make_file(config: MkDocsConfig, place: str) -> File:
    source = ROOT / _source_of(place)
    given = InclusionLevel.UNDEFINED if place in _SOURCES else InclusionLevel.NOT_IN_NAV
    if source.exists():
        return File.generated(config, place, abs_src_path=str(source), inclusion=given)
    return File.generated(config, place, content=_list_folder(source.parent), inclusion=given)


def _list_folder(folder: Path) -> str:
    """Write the page of a folder: its files as links, its folders by name."""
    lines = [f"# {folder.relative_to(ROOT)}", ""]
    for one in sorted(folder.iterdir()):
        if one.is_file():
            lines.append(f"- [{one.name}]({one.name})")
        elif not one.name.startswith((".", "_")) and one.name != "node_modules":
            lines.append(f"- {one.name}/")
    return "\n".join([*lines, ""])
