from __future__ import annotations

from pathlib import Path

import pytest

from satsuma.auth.exposure import check_exposure, is_loopback, open_access
from satsuma.auth.tokens import TokenStore
from satsuma.errors import ConfigurationError
from satsuma.settings import Settings

EVERYWHERE = "0.0.0.0"  # noqa: S104


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("localhost", True),
        ("::1", True),
        ("[::1]", True),
        (EVERYWHERE, False),
        ("::", False),
        ("", False),
        ("10.0.0.1", False),
        ("example.org", False),
    ],
)
def test_knows_loopback(host: str, *, expected: bool) -> None:
    """Only this machine's own addresses count; an unknown name does not."""
    assert is_loopback(host) is expected


@pytest.mark.parametrize(
    ("host", "no_auth", "has_token", "is_open"),
    [
        ("127.0.0.1", False, False, True),
        ("127.0.0.1", False, True, False),
        ("127.0.0.1", True, True, True),
        (EVERYWHERE, False, False, False),
        (EVERYWHERE, False, True, False),
        (EVERYWHERE, True, False, True),
    ],
)
def test_who_needs_a_token(
    tmp_path: Path, host: str, *, no_auth: bool, has_token: bool, is_open: bool
) -> None:
    """Open on loopback until the first token, and with --no-auth; closed otherwise."""
    tokens = TokenStore(tmp_path / "tokens.json")
    if has_token:
        tokens.create("me")
    assert open_access(Settings(host=host, no_auth=no_auth), tokens) is is_open


@pytest.mark.parametrize("host", [EVERYWHERE, "", "192.168.0.7"])
def test_does_not_listen_unguarded(tmp_path: Path, host: str) -> None:
    """Beyond loopback, no token and no --no-auth is refused with what to do."""
    settings, tokens = Settings(host=host), TokenStore(tmp_path / "tokens.json")
    for store in (None, tokens):
        with pytest.raises(ConfigurationError, match="satsuma token create --account"):
            check_exposure(settings, store)
    _, record = tokens.create("me")
    check_exposure(settings, tokens)
    tokens.revoke(record.id)
    with pytest.raises(ConfigurationError):
        check_exposure(settings, tokens)


def test_listens_where_asked() -> None:
    """Loopback needs no token; --no-auth is taken at its word."""
    check_exposure(Settings(), None)
    check_exposure(Settings(host=EVERYWHERE, no_auth=True), None)
