"""`satsuma doctor`: print what `satsuma.doctor` finds."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Any

import click
import orjson

from satsuma.cli.options import setting_options
from satsuma.doctor import Finding, Verdict, examine
from satsuma.settings import load_settings

_COLOURS = {Verdict.OK: "green", Verdict.NOTE: "yellow", Verdict.PROBLEM: "red"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a finding.")
@setting_options(
    "host", "port", "threads", "lanes", "engine", "device", "precision", "models_dir", "data_dir",
    "no_auth",
)  # fmt: skip
def doctor(*, as_json: bool, **flags: Any) -> None:
    """Say what machine this is, what would be served, and what to do about each problem.

    Exits with 1 if something keeps satsuma from working.
    """
    findings = []
    for finding in examine(load_settings(flags)):
        findings.append(finding)
        click.echo(orjson.dumps(asdict(finding)) if as_json else _line(finding))
    sys.exit(any(finding.verdict is Verdict.PROBLEM for finding in findings))


def _line(finding: Finding) -> str:
    verdict = click.style(f"{finding.verdict:8}", fg=_COLOURS[finding.verdict])
    advice = f"\n{'':24}-> {finding.advice}" if finding.advice else ""
    return f"{verdict}{finding.topic:16}{finding.text}{advice}"
