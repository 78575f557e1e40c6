"""Where the queue's database is: `queue_url` read, checked, and named without its passwords."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from satsuma.errors import ConfigurationError
from satsuma.masking import HIDDEN, SECRET_OPTIONS, mask_url

SQLITE_FILE: Final = "queue.db"


def read_address(url: str, data_dir: Path) -> URL:
    """Read `queue_url`; empty stands for SQLite in `data_dir`.

    Raises:
        ConfigurationError: if it is of no known kind, or it is not clear where its password ends,
            of which a part would be taken for a host then. In words that do not repeat it.
    """
    if not url:
        return URL.create("sqlite", database=str(data_dir / SQLITE_FILE))
    parsed = _parse(url)
    kind = parsed.drivername.partition("+")[0] if parsed is not None else ""
    if parsed is not None and kind in {"postgres", "postgresql"}:
        return parsed.set(drivername="postgresql+psycopg")
    if parsed is not None and kind == "sqlite" and parsed.database not in {None, "", ":memory:"}:
        return parsed
    raise ConfigurationError(
        "queue_url must be postgresql://user@host/database or sqlite:////folder/file, "
        "with %40 for an @, %2F for a / and %3F for a ? in a password."
    )


def name_address(address: URL) -> str:
    """Name a database as logs and errors may."""
    return mask_url(address.render_as_string(hide_password=False))


def secrets_of(address: URL) -> Iterator[str]:
    """Give what nobody may see of it."""
    if address.password:
        yield str(address.password)
    for name in SECRET_OPTIONS & address.query.keys():
        values = address.query[name]
        yield from [values] if isinstance(values, str) else values


def _parse(url: str) -> URL | None:
    try:
        return make_url(url) if mask_url(url) != HIDDEN else None
    except (ArgumentError, ValueError):
        return None
