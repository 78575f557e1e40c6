"""`satsuma config`: what every setting is, and where its value came from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import orjson

from satsuma.columns import align
from satsuma.masking import mask_url
from satsuma.settings import Origin, trace_settings


@click.group()
def config() -> None:
    """Show what is set, and by what.

    A flag wins over a variable, a variable over satsuma.toml, the file over the default
    (docs/settings.md).
    """


@config.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a setting.")
@click.option("--changed", is_flag=True, help="Leave out what has its default.")
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Read this file.  [default: $SATSUMA_CONFIG, else satsuma.toml in this folder]",
)
def show(*, as_json: bool, changed: bool, config_file: Path | None) -> None:
    """List every setting with its value and where that came from; passwords are masked.

    \b
    Examples:
      satsuma config show
      SATSUMA_PORT=8000 satsuma config show --changed
    """  # noqa: D301 - click reads the \b
    origins = trace_settings(config_file=config_file)
    shown = [one for one in origins if not changed or one.source != "default"]
    lines = _json_lines(shown) if as_json else [_table(shown)] if shown else []
    for line in lines:
        click.echo(line)


def _json_lines(origins: list[Origin]) -> list[bytes]:
    rows = [{"name": one.name, "value": _plain(one), "source": one.source} for one in origins]
    return [orjson.dumps(row) for row in rows]


def _plain(origin: Origin) -> Any:
    """Turn a value into one that JSON has, without a password."""
    if isinstance(origin.value, tuple):
        return [_masked(origin.name, one) for one in origin.value]
    is_text = isinstance(origin.value, str | Path)
    return _masked(origin.name, str(origin.value)) if is_text else origin.value


def _masked(name: str, text: str) -> str:
    """Hide what is secret; a `queue_url` may be anything that somebody took for an address."""
    return mask_url(text) if name == "queue_url" or "://" in text else text


def _table(origins: list[Origin]) -> str:
    return align((one.name, _text(one), one.source) for one in origins)


def _text(origin: Origin) -> str:
    plain = _plain(origin)
    if isinstance(plain, list):
        return ", ".join(plain) or "-"
    return str(plain).lower() if isinstance(plain, bool) else str(plain)
