"""One connection of a load generator: the standard library's client, kept open, answers unparsed.

A client in its own thread costs about 0.4 ms of a core a request (2,900 short answers, CPU time);
JSON is not read, since that would cost more than sending it.
"""

from __future__ import annotations

import http.client
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

import orjson

_ACCOUNT = "bench"
_TIMEOUT_S = 120.0
_PROMPT_TOKENS = re.compile(rb'"prompt_tokens":(\d+)')
_TAIL_BYTES = 300  # usage comes after the vectors
APIS = ("workers-ai", "openai")


@dataclass(frozen=True)
class Target:
    """A server, and how it is asked.

    Attributes:
        url: such as `http://127.0.0.1:7768`.
        model: one of its models' ids.
        api: one of `APIS`.
        token: of the API; None sends none.
    """

    url: str
    model: str
    api: str = APIS[0]
    token: str | None = field(default=None, repr=False)

    @property
    def path(self) -> str:
        """Where texts are sent."""
        root = urlsplit(self.url).path.rstrip("/")
        if self.api == "openai":
            return f"{root}/v1/embeddings"
        return f"{root}/client/v4/accounts/{_ACCOUNT}/ai/run/{quote(self.model, safe='@/')}"

    @property
    def headers(self) -> Mapping[str, str]:
        """What goes with each request."""
        given = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        return {"Content-Type": "application/json", **given}

    def body(self, texts: list[str]) -> bytes:
        """Write a request's body."""
        if self.api == "openai":
            return orjson.dumps({"model": self.model, "input": texts, "encoding_format": "base64"})
        return orjson.dumps({"text": texts})


class Connection:
    """A client that asks one thing at a time. Not thread-safe."""

    def __init__(self, target: Target) -> None:
        """Connect on the first request."""
        parts = urlsplit(target.url)
        kind = (
            http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        )
        self._target = target
        self._connection = kind(parts.hostname or "", parts.port, timeout=_TIMEOUT_S)

    def ask(self, body: bytes) -> tuple[str, int]:
        """Send, and read the whole answer.

        Returns:
            The status, or the name of what went wrong; and the tokens that the server counted.
        """
        try:
            return self._ask(body)
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()  # the next request connects anew
            return type(error).__name__, 0

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def abort(self) -> None:
        """Hang up from another thread, which ends a request that is under way."""
        if self._connection.sock is not None:
            try:
                self._connection.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                return

    def _ask(self, body: bytes) -> tuple[str, int]:
        self._connection.request("POST", self._target.path, body, dict(self._target.headers))
        response = self._connection.getresponse()
        found = _PROMPT_TOKENS.search(response.read()[-_TAIL_BYTES:])
        return str(response.status), int(found[1]) if found else 0
