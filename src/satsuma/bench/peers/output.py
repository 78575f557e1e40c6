"""Where a report goes: files of a folder, and the marked part of a page."""

from __future__ import annotations

import os
from pathlib import Path

from satsuma.bench.peers.errors import PeerError
from satsuma.bench.peers.figures import PeersReport
from satsuma.bench.peers.plot import draw_model
from satsuma.bench.peers.table import format_report

BEGIN, END = "<!-- measured: satsuma bench peers -->", "<!-- end -->"


def write_folder(report: PeersReport, folder: Path) -> dict[str, Path]:
    """Write results.json, results.md and a plot a model.

    Returns:
        Each model's plot.
    """
    folder.mkdir(parents=True, exist_ok=True)
    plots = {model.name: folder / f"{model.name}.svg" for model in report.models}
    for name, path in plots.items():
        path.write_text(draw_model(report, name), encoding="utf-8")
    text = format_report(report, {name: path.name for name, path in plots.items()})
    (folder / "results.md").write_text(text, encoding="utf-8")
    (folder / "results.json").write_text(report.to_json() + "\n", encoding="utf-8")
    return plots


def check_page(page: Path) -> None:
    """Notice before the run that its results could not be put into the page.

    Raises:
        PeerError: if the page lacks the marks.
    """
    _split(page)


def write_page(report: PeersReport, page: Path, plots: dict[str, Path]) -> None:
    """Put the report between the marks of a page, its plots linked from where they are.

    Raises:
        PeerError: if the page lacks the marks.
    """
    before, after = _split(page)
    links = {name: os.path.relpath(path, page.parent) for name, path in plots.items()}
    text = f"{before}{BEGIN}\n{format_report(report, links)}{END}{after}"
    page.write_text(text, encoding="utf-8")


def _split(page: Path) -> tuple[str, str]:
    before, found, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not found or not ended:
        raise PeerError(f"{page} lacks the lines {BEGIN} and {END}")
    return before, after
