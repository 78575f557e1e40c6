"""What a run of scenes came to: for people, and as one JSON line that docs/reliability.md shows."""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from satsuma import __version__
from support.chaos.scene import Finding

RECORD = Path(__file__).resolve().parents[3] / "docs" / "reliability.json"


def show(finding: Finding) -> str:
    """Lay a scene out."""
    counts = ", ".join(f"{count} {fate}" for fate, count in finding.counts.items())
    notes = ", ".join(f"{name}: {value}" for name, value in finding.notes.items())
    lines = [
        f"{'ok' if finding.is_good else 'BROKEN'}  {finding.scene.name} ({finding.took_s:.0f} s)",
        f"    did       {finding.scene.does}",
        f"    expected  {finding.scene.expects}",
        f"    requests  {counts or 'none'}",
        f"    lost {finding.lost}, wrong {finding.wrong}, stuck {finding.stuck}",
    ]
    lines += [f"    figures   {notes}"] if notes else []
    return "\n".join([*lines, *(f"    breach    {breach}" for breach in finding.breaches)])


def describe(kind: str, **how: Any) -> dict[str, Any]:
    """Say what was run, when, where and how."""
    return {
        "kind": kind,
        "date": dt.datetime.now(tz=dt.UTC).isoformat(timespec="minutes"),
        "satsuma": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        **how,
    }


def summarise(kind: str, findings: Sequence[Finding], **how: Any) -> dict[str, Any]:
    """Put a run of scenes into the form of its JSON line."""
    return {
        **describe(kind, **how),
        "lost": sum(one.lost for one in findings),
        "wrong": sum(one.wrong for one in findings),
        "stuck": sum(one.stuck for one in findings),
        "breaches": sum(len(one.breaches) for one in findings),
        "scenes": [one.to_json() for one in findings],
    }


def conclude(summary: dict[str, Any], *, is_recorded: bool) -> int:
    """Print the end of a run, keep it where that is wanted, and give the exit code."""
    click.echo(
        f"{summary['kind']}: {len(summary['scenes'])} scenes; {summary['lost']} lost, "
        f"{summary['wrong']} wrong, {summary['stuck']} stuck, {summary['breaches']} breaches"
    )
    click.echo(json.dumps(summary))
    if is_recorded:
        record(summary)
    return 1 if summary["breaches"] else 0


def record(summary: dict[str, Any]) -> None:
    """Keep a run for the documentation, in the place of the last of its kind."""
    kept = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    kept[summary["kind"]] = summary
    RECORD.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n", encoding="utf-8")
