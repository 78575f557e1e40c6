"""What `satsuma workers init` was told, kept in satsuma-workers/satsuma.json for its JavaScript."""

from __future__ import annotations

import ipaddress
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from satsuma.cli.vendoring import replace_file
from satsuma.errors import ConfigurationError

DEFAULT_URL = "http://127.0.0.1:7768"

_FILE = "satsuma.json"
_PATHS = ("", "/", "/client/v4", "/client/v4/")
_NOT_IN_AN_ADDRESS = re.compile(r"[\s\x00-\x1f\x7f@?#<>^|%\\]")


def read_settings(folder: Path) -> dict[str, str]:
    """Read what was kept; nothing, if nothing was.

    Raises:
        ConfigurationError: if the file is broken; the message names it.
    """
    path = folder / _FILE
    if not path.is_file():
        return {}
    try:
        settings: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigurationError(f"{path} cannot be read: {error}. {_mend(path)}") from error
    if not _has_strings(settings):
        raise ConfigurationError(f"{path} must be an object of strings. {_mend(path)}")
    if "url" in settings:
        settings["url"] = check_url(settings["url"], f"url in {path}")
    return settings


def keep_settings(folder: Path, settings: dict[str, str]) -> None:
    """Write them down, if there are any."""
    if settings:
        text = json.dumps(settings, indent=2) + "\n"
        replace_file(folder / _FILE, text.encode())


def check_url(text: str, source: str) -> str:
    """Give the origin of a server's address, by the same rule as workers/address.js.

    Raises:
        ConfigurationError: if it is no address of a server; a password is not repeated.
    """
    parts = _split(text)
    if parts is None or parts.scheme not in {"http", "https"} or parts.path not in _PATHS:
        shown = "with no user, query or fragment" if re.search("[@?#]", text) else f"and is {text}"
        raise ConfigurationError(f"{source} must look like {DEFAULT_URL}, {shown}")
    return f"{parts.scheme}://{parts.netloc.lower()}"


def _split(text: str) -> SplitResult | None:
    """Split an address, if it is one of a host that can be."""
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
        if host.rsplit(".", maxsplit=1)[-1].isdigit():
            ipaddress.ip_address(host)  # a ValueError, as an impossible port is
        is_address = parts.port != 0 and host and not _NOT_IN_AN_ADDRESS.search(text)
    except ValueError:
        return None
    return parts if is_address else None


def _has_strings(settings: Any) -> bool:
    return isinstance(settings, dict) and all(isinstance(one, str) for one in settings.values())


def _mend(path: Path) -> str:
    return f"Delete {path.name} there, and run: satsuma workers init"
