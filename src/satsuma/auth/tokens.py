"""API tokens: made, kept as hashes, revoked, checked against an account.

Owns `tokens.json`. Knows no HTTP: how a token travels in a request is the business of `api`.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from filelock import FileLock

from satsuma.errors import AuthenticationError, ConfigurationError

TOKENS_FILE: Final = "tokens.json"
ACCOUNT_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")

_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_NUM_RANDOM_BYTES: Final = 30  # 40 url-safe characters, as long as Cloudflare's own tokens
_OWNER_ONLY: Final = 0o600


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """What is kept of a token: everything but the token.

    Attributes:
        id: names the token in lists and in `revoke`; not secret.
        account: the one account whose routes the token opens.
        sha256: of the token. A plain hash is right here: a password needs a slow hash because
            people choose it, and 240 random bits cannot be guessed however fast the hash is.
        created_at: ISO 8601, UTC.
        requests_per_minute: that it may make; 0 for no limit of its own.
        tokens_per_minute: that it may have embedded; 0 for no limit of its own.
    """

    id: str
    account: str
    name: str
    sha256: str
    created_at: str
    requests_per_minute: int = 0
    tokens_per_minute: int = 0


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """The file as it was at one moment; `signature` is None where there is no file."""

    signature: tuple[int, int, int] | None
    records: tuple[TokenRecord, ...]


_NO_FILE: Final = _Snapshot(None, ())


class TokenStore:
    """The tokens of one `tokens.json`, shared by the server and the command line.

    Each reading looks at the file's identity first, so a token that another process makes or
    revokes counts from the next request on.
    """

    def __init__(self, path: Path) -> None:
        """Keep the path; the file need not exist yet."""
        self._path = path
        self._snapshot = _NO_FILE

    @property
    def is_configured(self) -> bool:
        """True once a token was made here, even if all have been revoked since."""
        return self._load().signature is not None

    def create(
        self,
        account: str,
        name: str = "",
        *,
        requests_per_minute: int = 0,
        tokens_per_minute: int = 0,
    ) -> tuple[str, TokenRecord]:
        """Make a token for one account; it is returned once and not kept.

        Args:
            account: whose routes it opens.
            name: what it is for.
            requests_per_minute: that it may make; 0 for no limit of its own.
            tokens_per_minute: that it may have embedded; 0 for no limit of its own.

        Raises:
            ConfigurationError: if the account id has an impossible form, or the file is unusable.
        """
        if not ACCOUNT_ID.fullmatch(account):
            message = f"{account!r} cannot be an account id: use 1 to 64 of A-Z a-z 0-9 . _ -"
            raise ConfigurationError(message)
        token = secrets.token_urlsafe(_NUM_RANDOM_BYTES)
        created_at = datetime.now(UTC).isoformat(timespec="seconds")
        limits = (requests_per_minute, tokens_per_minute)
        identity = secrets.token_hex(4)
        record = TokenRecord(identity, account, name, _digest(token), created_at, *limits)
        with self._locked():
            self._write((*self._load().records, record))
        return token, record

    def list(self) -> tuple[TokenRecord, ...]:
        """Give every record, oldest first."""
        return self._load().records

    def revoke(self, token_id: str) -> TokenRecord:
        """Forget a token, which from then on opens nothing.

        Raises:
            ConfigurationError: if no token has this id, or the file is unusable.
        """
        with self._locked():
            records = self._load().records
            revoked = next((one for one in records if one.id == token_id), None)
            if revoked is None:
                raise ConfigurationError(f"No token has the id {token_id!r}; `satsuma token list`.")
            self._write(tuple(one for one in records if one is not revoked))
        return revoked

    def authenticate(self, token: str, account: str | None) -> TokenRecord:
        """Find the token's record; `account` None accepts a token of any account.

        Raises:
            AuthenticationError: if the token is unknown, revoked or another account's.
        """
        digest, found = _digest(token), None
        for record in self._load().records:  # all of them: the time taken tells nothing
            if hmac.compare_digest(record.sha256, digest):
                found = record
        if found is None or account not in (None, found.account):
            raise AuthenticationError("Authentication error")
        return found

    def _load(self) -> _Snapshot:
        signature = self._signature()
        if signature != self._snapshot.signature:
            records = () if signature is None else self._read()
            self._snapshot = _Snapshot(signature, records)
        return self._snapshot

    def _signature(self) -> tuple[int, int, int] | None:
        """Identify the file's content without reading it; each write makes a new file."""
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unusable(error) from error
        return status.st_mtime_ns, status.st_ino, status.st_size

    def _read(self) -> tuple[TokenRecord, ...]:
        try:
            content: Any = json.loads(self._path.read_bytes())
            return tuple(_checked(TokenRecord(**one)) for one in content["tokens"])
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise self._unusable(error) from error

    def _write(self, records: tuple[TokenRecord, ...]) -> None:
        """Replace the file at one stroke, readable by its owner alone from its first byte."""
        content = {"tokens": [asdict(record) for record in records]}
        temporary = self._path.with_name(f".{self._path.name}.{secrets.token_hex(4)}")
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(content, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise self._unusable(error) from error

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other writers out; readers need no lock."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self._path.with_name(self._path.name + ".lock"), mode=_OWNER_ONLY)
            lock.acquire()
        except OSError as error:
            raise self._unusable(error) from error
        try:
            yield
        finally:
            lock.release()

    def _unusable(self, error: Exception) -> ConfigurationError:
        reason = error.strerror if isinstance(error, OSError) else "not a list of tokens"
        return ConfigurationError(f"{self._path} cannot be used: {reason or error}")


def _checked(record: TokenRecord) -> TokenRecord:
    """Refuse a record of other kinds of values than this store writes.

    Raises:
        ValueError: if it has any.
    """
    texts = (record.id, record.account, record.name, record.sha256, record.created_at)
    limits = (record.requests_per_minute, record.tokens_per_minute)
    is_written_here = (
        all(isinstance(one, str) for one in texts)
        and _SHA256.fullmatch(record.sha256) is not None
        and all(type(one) is int and one >= 0 for one in limits)
    )
    if not is_written_here:
        raise ValueError("a record that this store did not write")
    return record


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
