"""Addresses without their secrets, as people may see them in a terminal or a log."""

from __future__ import annotations

import re
from typing import Final

HIDDEN: Final = "****"
SECRET_OPTIONS: Final = frozenset({"password", "sslpassword"})  # of an address's query

_OPTION: Final = rf"(?:(?:{'|'.join(SECRET_OPTIONS)})=[^\s\#&]*|\w+=[^\s\#&@]*)"
_HOST: Final = r"(?:\[[\da-fA-F:.%]+\]|[\w.%*-]*)(?::\d+)?"
_ADDRESS: Final = re.compile(
    rf"""
    (?P<scheme>[\w+.-]+://)
    (?: (?P<user>[^\s:/?\#@]*) (?P<password>:[^\s/?@]*)? @ )?
    (?P<place>{_HOST}(?:,{_HOST})* (?:/[^\s?\#@]*)? )
    (?: \? (?P<query>(?:{_OPTION}(?:&|$))*) )?
    """,
    re.VERBOSE,
)
_FILE: Final = re.compile(r"sqlite(\+\w+)?:///[^?]*")  # has no password, whatever its name
_SHOWN_OPTIONS: Final = frozenset({
    "application_name", "cache", "connect_timeout", "dbname", "host", "hostaddr", "mode", "port",
    "sslcert", "sslmode", "sslrootcert", "target_session_attrs", "uri", "user",
})  # fmt: skip


def mask_url(text: str) -> str:
    """Hide the passwords of an address, in its query too.

    What is not surely an address is hidden as a whole: where a password has an `@` or a `/` of
    its own, nobody knows where it ends.
    """
    if not text or _FILE.fullmatch(text):
        return text
    parts = _ADDRESS.fullmatch(text)
    if parts is None:
        return HIDDEN
    password = f":{HIDDEN}" if parts["password"] else ""
    user = "" if parts["user"] is None else f"{parts['user']}{password}@"
    query = "" if parts["query"] is None else f"?{_mask_query(parts['query'])}"
    return f"{parts['scheme']}{user}{parts['place']}{query}"


def _mask_query(query: str) -> str:
    return "&".join(_mask_option(one) for one in query.split("&"))


def _mask_option(text: str) -> str:
    """Show what is known to be no secret, and of the others not even the name."""
    name = text.partition("=")[0]
    if name in SECRET_OPTIONS:
        return f"{name}={HIDDEN}"
    return text if name in _SHOWN_OPTIONS else HIDDEN
