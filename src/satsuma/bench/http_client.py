"""One connection of a load generator: the standard library's client, kept open, answers unparsed.

A client in its own thread costs about 0.4 ms of a core a request (2,900 short answers, CPU time);
JSON is not read, since that would cost more than sending it.
"""

from __future__ import annotations

import http
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
GOOD = "200"
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


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a request.

    Attributes:
        status: of HTTP, or the name of what went wrong.
        num_tokens: as the server counted them.
        message: why it was refused, in the server's words.
    """

    status: str
    num_tokens: int = 0
    message: str = ""


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

    def ask(self, body: bytes) -> Answer:
        """Send, and read the whole answer."""
        try:
            return self.exchange(body)[0]
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()  # the next request connects anew
            return Answer(type(error).__name__, message=str(error))

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

    def exchange(self, body: bytes, query: str = "") -> tuple[Answer, bytes]:
        """Send, and give what was answered with its content.

        Raises:
            OSError, http.client.HTTPException: if nothing is.
        """
        path, headers = self._target.path + query, dict(self._target.headers)
        self._connection.request("POST", path, body, headers)
        response = self._connection.getresponse()
        content = response.read()
        if response.status != http.HTTPStatus.OK:
            return Answer(str(response.status), message=read_message(content)), content
        found = _PROMPT_TOKENS.search(content[-_TAIL_BYTES:])
        return Answer(GOOD, int(found[1]) if found else 0), content


def read_message(content: bytes) -> str:
    """Take the reason out of an error's JSON, Workers AI's or OpenAI's, or of whatever it is."""
    try:
        answer = orjson.loads(content)
        error = answer.get("error") or answer["errors"][0]
        return str(error["message"])
    except (ValueError, LookupError, TypeError, AttributeError):
        return content[:_TAIL_BYTES].decode(errors="replace")
