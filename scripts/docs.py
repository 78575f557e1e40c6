"""Write the parts of docs/ that come from the code, or check that they are true.

`python scripts/docs.py` writes; `--check` names the pages that differ and exits with 1.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from satsuma.api.errors import error_rows
from satsuma.api.metrics import list_metrics
from satsuma.cli.main import cli
from satsuma.settings import describe_settings

DOCS = Path(__file__).parent.parent / "docs"
_WIDTH = 90


def settings_table() -> str:
    """Each setting in its three spellings."""
    rows = ["| flag | variable | default | meaning |", "|---|---|---|---|"]
    for name, default, help_text in describe_settings():
        flag, variable = "--" + name.replace("_", "-"), "SATSUMA_" + name.upper()
        rows.append(f"| `{flag}` | `{variable}` | {default} | {help_text} |")
    return "\n".join(rows)


def errors_table() -> str:
    """Each error class and its answer."""
    rows = ["| error | name | status | code | message |", "|---|---|---|---|---|"]
    rows += [
        f"| `{error}` | `{name}` | {status} | {code} | {message} |"
        for error, name, status, code, message in error_rows()
    ]
    return "\n".join(rows)


def command_help() -> str:
    """Every command's --help."""
    sections = (f"## {path}\n\n```text\n{text}\n```" for path, text in _help_pages("satsuma", cli))
    return "\n\n".join(sections)


def clients_table() -> str:
    """Each client that the tests ran, from what they recorded (`make clients`)."""
    rows = ["| client | where its address is set | called | refused, and what the caller sees |"]
    rows.append("|---|---|---|---|")
    for row in json.loads((DOCS / "clients.json").read_text(encoding="utf-8")):
        client = f"**{row['client']}** {row['version']}<br>{row['language']}"
        cells = (
            _lines([row["address"], *row["remarks"]]),
            *map(_lines, (row["calls"], row["errors"])),
        )
        rows.append(f"| {client} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _lines(texts: Sequence[str]) -> str:
    """Put texts under one another in a cell."""
    return "<br>".join(text.replace("|", "\\|") for text in texts)


def _help_pages(path: str, command: click.Command) -> Iterator[tuple[str, str]]:
    context = click.Context(
        command, info_name=path, max_content_width=_WIDTH, terminal_width=_WIDTH
    )
    yield path, command.get_help(context).rstrip()
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            if inner is not None:
                yield from _help_pages(f"{path} {name}", inner)


def metrics_table() -> str:
    """Each metric that a scrape has from the start."""
    rows = ["| name | type | labels | what |", "|---|---|---|---|"]
    for one in list_metrics():
        labels = ", ".join(f"`{label}`" for label in one.labels)
        rows.append(f"| `{one.name}` | {one.kind} | {labels} | {one.about} |")
    return "\n".join(rows)


def proof_tables() -> str:
    """What `make chaos`, `make soak` and `make fuzz` last found, where they kept it."""
    kept = json.loads((DOCS / "reliability.json").read_text(encoding="utf-8"))
    return "\n\n".join(
        f"### make {kind}\n\n{_proof(kept.get(kind))}" for kind in ("chaos", "soak", "fuzz")
    )


def _proof(run: dict[str, Any] | None) -> str:
    if run is None:
        return "Not run yet."
    where = f"{run['date']}, satsuma {run['satsuma']}, Python {run['python']}, {run['system']}"
    if "targets" in run:
        return f"{where}; {run['minutes']:g} minutes.\n\n{_fuzz_table(run)}"
    totals = f"{run['lost']} lost, {run['wrong']} wrong, {run['stuck']} stuck"
    return f"{where}; {totals}, {run['breaches']} breaches.\n\n{_scene_table(run)}"


def _scene_table(run: dict[str, Any]) -> str:
    rows = ["| scene | requests | lost, wrong, stuck | s | figures |", "|---|---|---|---|---|"]
    for one in run["scenes"]:
        counts = ", ".join(f"{count:,} {fate}" for fate, count in one["counts"].items())
        notes = [f"{name}: {value}" for name, value in one["notes"].items()]
        bad = f"{one['lost']}, {one['wrong']}, {one['stuck']}"
        breaches = [f"**{breach}**" for breach in one["breaches"]]
        cells = (one["name"], counts, bad, f"{one['took_s']:.0f}", _lines([*notes, *breaches]))
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _fuzz_table(run: dict[str, Any]) -> str:
    rows = ["| target | made up | followed the code, branches | expected | as expected |"]
    rows += ["|---|---|---|---|---|"]
    rows += [
        f"| {one['name']} | {one['inputs']:,} | {one['guided']:,}, {one['branches']:,} | "
        f"{one['expects']} | "
        f"{'yes' if one['is_good'] else '**no**'} |"
        for one in run["targets"]
    ]
    return "\n".join(rows)


GENERATED: dict[str, tuple[str, Callable[[], str]]] = {
    "settings.md": ("settings", settings_table),
    "errors.md": ("errors", errors_table),
    "cli.md": ("help", command_help),
    "compatibility.md": ("clients", clients_table),
    "metrics.md": ("metrics", metrics_table),
    "reliability.md": ("proof", proof_tables),
}


def render(page: str, marker: str, make: Callable[[], str]) -> str:
    """Put the generated text between the page's markers."""
    begin, end = f"<!-- generated: {marker} -->", "<!-- end -->"
    before, _, rest = (DOCS / page).read_text(encoding="utf-8").partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise SystemExit(f"docs/{page} lacks the lines {begin} and {end}")
    return f"{before}{begin}\n{make()}\n{end}{after}"


def main() -> None:
    """Write or check."""
    stale = []
    for page, (marker, make) in GENERATED.items():
        text = render(page, marker, make)
        if text != (DOCS / page).read_text(encoding="utf-8"):
            stale.append(f"docs/{page}")
            if "--check" not in sys.argv:
                (DOCS / page).write_text(text, encoding="utf-8")
    if stale and "--check" in sys.argv:
        raise SystemExit(f"{', '.join(stale)} differ from the code; run: make docs")
    print(f"docs: {', '.join(stale) + ' written' if stale else 'as the code says'}")


if __name__ == "__main__":
    main()
