"""Which server a load generator asks, and for which of its models."""

from __future__ import annotations

from urllib.parse import urlsplit

import click
import httpx

_SCHEMES = ("http", "https")


def check_address(_: click.Context, __: click.Parameter, value: str) -> str:
    """Check that an option's address is one that can be asked, and leave a slash at its end off.

    Raises:
        click.BadParameter: if it is not.
    """
    try:
        parts = urlsplit(value)
        is_whole = parts.scheme in _SCHEMES and parts.hostname and parts.port != 0
    except ValueError:  # such as a port of 99999
        is_whole = False
    if not is_whole:
        raise click.BadParameter(f"{value!r} is no address such as http://127.0.0.1:7768.")
    return value.rstrip("/")


def find_loaded_model(url: str) -> str:
    """Ask which model answers.

    Raises:
        click.ClickException: if none does, or if that is no satsuma.
    """
    models = _read_models(url)
    if not models:
        raise click.ClickException(f"{url} has no model loaded yet; try again, or give --model.")
    return models[0]


def _read_models(url: str) -> list[str]:
    try:
        response = httpx.get(f"{url}/ready", trust_env=False)
    except httpx.HTTPError as error:
        raise _nobody(url, str(error)) from error
    try:
        return [str(model) for model in response.json()["models"]]
    except (ValueError, LookupError, TypeError) as error:
        found = f"/ready answers {response.status_code}, and names no models"
        raise _nobody(url, found) from error


def _nobody(url: str, found: str) -> click.ClickException:
    message = f"No satsuma answers at {url} ({found}). Start it: satsuma serve"
    return click.ClickException(message)
