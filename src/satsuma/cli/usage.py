"""`satsuma usage`: what each account asked for, by model and day."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import click
import orjson

from satsuma.columns import align
from satsuma.errors import ModelNotFoundError
from satsuma.settings import load_settings
from satsuma.store.catalog import Catalog
from satsuma.store.local import ModelStore
from satsuma.usage.ledger import USAGE_FILE, Ledger, Used, total

_MILLION = 1_000_000


@click.command()
@click.option("--since", metavar="DAY", help="First day, such as 2026-11-01, or 7d for a week.")
@click.option("--account", metavar="ID", help="One account's alone.")
@click.option("--model", metavar="ID", help="One model's alone.")
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the tokens and other state.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a row.")
def usage(
    *,
    since: str | None,
    account: str | None,
    model: str | None,
    data_dir: Path | None,
    as_json: bool,
) -> None:
    """Show what each account asked for, by model and day (UTC), a few seconds behind.

    Tokens are those of the answers' `usage`. The last column is what Cloudflare asks for as many,
    by the prices that it publishes; satsuma asks for nothing.

    \b
    Examples:
      satsuma usage --since 7d
      satsuma usage --account my-team --json
    """  # noqa: D301 - click reads the \b
    settings = load_settings({"data_dir": data_dir})
    catalog = ModelStore(settings.models_dir).catalog
    name = catalog.canonical_id(model) if model else None
    rows = Ledger(settings.data_dir / USAGE_FILE).read(_first_day(since), account, name)
    if as_json:
        for row in rows:
            click.echo(orjson.dumps({**asdict(row), "usd_at_cloudflare": _price(catalog, [row])}))
        return
    if not rows:
        click.echo("Nothing was used.", err=True)
        return
    summed = replace(total(rows), day="all")
    cells = [_HEADINGS, *(_cells(catalog, row, [row]) for row in rows)]
    cells.append(_cells(catalog, summed, rows))
    click.echo(align(cells, num_left=3))


_HEADINGS = ("day", "account", "model", "requests", "texts", "tokens", "USD at Cloudflare")


def _first_day(since: str | None) -> str:
    """Turn a day, or a number of days, into a day.

    Raises:
        click.UsageError: if it is neither.
    """
    if since is None:
        return ""
    try:
        if since.endswith("d") and since[:-1].isdecimal():
            today = dt.datetime.now(tz=dt.UTC).date()
            return str(today - dt.timedelta(days=int(since[:-1])))
        return str(dt.date.fromisoformat(since))
    except (ValueError, OverflowError) as error:  # the latter: before the calendar begins
        message = f"--since {since} is no day; 2026-11-01 is one, and 7d is a week ago."
        raise click.UsageError(message) from error


def _price(catalog: Catalog, rows: Sequence[Used]) -> float:
    return sum(row.tokens * _price_per_million(catalog, row.model) / _MILLION for row in rows)


def _price_per_million(catalog: Catalog, model: str) -> float:
    """Look up what Cloudflare asks for a million tokens; 0 for what it does not offer."""
    try:
        known = catalog.find(model)
    except ModelNotFoundError:
        return 0.0
    prices = known.listing.prices if known and known.listing else ()
    return next((one.price for one in prices if one.currency == "USD"), 0.0)


def _cells(catalog: Catalog, row: Used, rows: Sequence[Used]) -> tuple[str, ...]:
    counts = (f"{count:,}" for count in (row.requests, row.texts, row.tokens))
    return (row.day, row.account, row.model, *counts, f"{_price(catalog, rows):.4f}")
