from __future__ import annotations

import hmac
import json
import re
import threading
from pathlib import Path
from typing import Any

import pytest

from satsuma.auth.tokens import TokenStore
from satsuma.errors import AuthenticationError, ConfigurationError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give the path of a file that is not there yet, nor is its folder."""
    return tmp_path / "state" / "tokens.json"


def test_a_token_opens_its_account(path: Path) -> None:
    """What `create` returns is what `authenticate` accepts, for that account or for any."""
    store = TokenStore(path)
    token, record = store.create("me", "ci")
    assert store.authenticate(token, "me") == record
    assert store.authenticate(token, None) == record
    assert (record.account, record.name) == ("me", "ci")


def test_a_token_looks_like_cloudflares(path: Path) -> None:
    """Forty url-safe characters, never the same."""
    store = TokenStore(path)
    made = [store.create("me")[0] for _ in range(20)]
    assert len(set(made)) == 20
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{40}", one) for one in made)


def test_refuses_strangers(path: Path) -> None:
    """An unknown token and another account's are refused alike."""
    store = TokenStore(path)
    token, _ = store.create("me")
    for wrong, account in [("x" * 40, "me"), (token, "you"), (token + "x", "me")]:
        with pytest.raises(AuthenticationError):
            store.authenticate(wrong, account)


def test_tokens_are_compared_in_constant_time(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`hmac.compare_digest` decides, and is asked about every record, whichever it is."""
    store = TokenStore(path)
    token, record = store.create("me")
    others = [store.create("me")[1] for _ in range(2)]
    asked: list[tuple[str, str]] = []

    def compare(one: str, other: str) -> bool:
        asked.append((one, other))
        return False

    monkeypatch.setattr(hmac, "compare_digest", compare)
    with pytest.raises(AuthenticationError):
        store.authenticate(token, "me")
    assert asked == [(one.sha256, record.sha256) for one in (record, *others)]


def test_the_file_holds_no_token(path: Path) -> None:
    """Only the hash is kept, in a file for its owner alone."""
    token, _ = TokenStore(path).create("me")
    assert token not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in path.parent.iterdir() if "lock" not in one.name] == ["tokens.json"]


def test_another_process_is_heard(path: Path) -> None:
    """A store sees what another one made or revoked, without being told."""
    server, shell = TokenStore(path), TokenStore(path)
    assert server.list() == ()
    token, record = shell.create("me")
    assert server.authenticate(token, "me") == record
    shell.revoke(record.id)
    with pytest.raises(AuthenticationError):
        server.authenticate(token, "me")


def test_is_configured_from_the_first_token_on(path: Path) -> None:
    """Revoking the last token does not undo it; removing the file does."""
    store = TokenStore(path)
    assert not store.is_configured
    _, record = store.create("me")
    store.revoke(record.id)
    assert store.is_configured
    assert store.list() == ()
    path.unlink()
    assert not store.is_configured


def test_lists_oldest_first(path: Path) -> None:
    """The order of making is kept when one in between goes."""
    store = TokenStore(path)
    records = [store.create("me", name)[1] for name in ("a", "b", "c")]
    assert store.revoke(records[1].id) == records[1]
    assert [one.name for one in store.list()] == ["a", "c"]


def test_revoking_the_unknown_is_told(path: Path) -> None:
    """A wrong id is an error, not a silence."""
    with pytest.raises(ConfigurationError, match="No token has the id 'nope'"):
        TokenStore(path).revoke("nope")


@pytest.mark.parametrize("account", ["", "a b", "a/b", "ü", "a" * 65])
def test_refuses_an_impossible_account(path: Path, account: str) -> None:
    """An account that no path could name gets no token."""
    with pytest.raises(ConfigurationError, match="cannot be an account id"):
        TokenStore(path).create(account)


RECORD: dict[str, Any] = {
    "id": "a",
    "account": "me",
    "name": "",
    "sha256": "0" * 64,
    "created_at": "",
}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"tokens":[{"id":"a"}]}',
        '{"tokens":5}',
        "\0",
        "[" * 100_000,
        *(
            json.dumps({"tokens": [RECORD | change]})
            for change in (
                {"sha256": 5},
                {"sha256": "\u00fc" * 64},
                {"account": None},
                {"requests_per_minute": "many"},
                {"tokens_per_minute": -1},
                {"more": 1},
            )
        ),
    ],
)
def test_a_broken_file_lets_nobody_in(path: Path, content: str) -> None:
    """A file that cannot be understood is an error, never an open door."""
    path.parent.mkdir()
    path.write_text(content)
    store = TokenStore(path)
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="not a list of tokens"):
            store.authenticate("x" * 40, "me")


def test_an_unusable_folder_is_told(tmp_path: Path) -> None:
    """A path that cannot be written names itself."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match=r"tokens\.json cannot be used"):
        TokenStore(tmp_path / "file" / "tokens.json").create("me")


def test_writers_do_not_lose_each_other(path: Path) -> None:
    """Tokens made at the same time are all kept."""
    threads = [threading.Thread(target=TokenStore(path).create, args=("me",)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(TokenStore(path).list()) == 8
