"""A Hugging Face hub on loopback, with faults to switch on.

Speaks the part of the hub's HTTP that huggingface_hub needs to pull a model: HEAD and GET of
`/{repository}/resolve/{revision}/{file}` with Range, and `/api/models/{repository}`. Files are
streamed from disk, so it can serve weights of any size.

    with LoopbackHub() as hub:
        revision = hub.add_repository("acme/tiny", {"model.safetensors": path})
        hub.break_file("model.safetensors", cut_after_bytes=1000, times=1)
        ...  # HF_ENDPOINT=hub.address
        assert hub.count("GET", "model.safetensors") == 2
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO, Self
from urllib.parse import unquote, urlsplit

_CHUNK_BYTES = 1 << 16
_LARGE_BYTES = 10_000_000
_LARGE_SUFFIXES = (".safetensors", ".bin")


@dataclass
class SeenRequest:
    """One request as the hub saw it; `sent_bytes` grows while a file is sent."""

    method: str
    path: str
    file: str
    range: str | None
    authorization: str | None
    status: int
    sent_bytes: int


_GATE_S = 60.0


@dataclass
class Fault:
    """What goes wrong with a file: any of these, for so many GETs (or HEADs, for a status).

    A `gate` holds back what comes after `gate_after_bytes` until it is opened.
    `times` None is always; after the last time, `then` is what goes wrong.
    """

    cut_after_bytes: int | None = None
    is_corrupt: bool = False
    status: int | None = None
    error_code: str | None = None
    delay_s: float = 0.0
    gate: threading.Event | None = None
    gate_after_bytes: int = 0
    ignores_range: bool = False
    times: int | None = None
    then: Fault | None = None


@dataclass
class _File:
    """A file's content and its digests, computed once."""

    content: bytes | Path
    size_bytes: int = field(init=False)
    is_large: bool = False
    sha256: str = field(init=False)
    git_sha1: str = field(init=False)

    def __post_init__(self) -> None:
        self.size_bytes = _length(self.content)
        sha256 = hashlib.sha256()
        git_sha1 = hashlib.sha1(f"blob {self.size_bytes}\0".encode(), usedforsecurity=False)
        with self.open() as opened:
            while chunk := opened.read(1 << 20):
                sha256.update(chunk)
                git_sha1.update(chunk)
        self.sha256, self.git_sha1 = sha256.hexdigest(), git_sha1.hexdigest()

    @property
    def etag(self) -> str:
        return self.sha256 if self.is_large else self.git_sha1

    def open(self) -> BinaryIO:
        return (
            self.content.open("rb") if isinstance(self.content, Path) else io.BytesIO(self.content)
        )


@dataclass
class _Repository:
    name: str
    revisions: dict[str, dict[str, _File]] = field(default_factory=dict)
    newest: str = ""
    refusal: tuple[int, str] | None = None


class LoopbackHub:
    """A hub that lives as long as the `with` block.

    Attributes:
        requests: everything that was asked about models, in order.
        redirects_weights: send large files from another host name, as the real hub does.
    """

    def __init__(self, *, redirects_weights: bool = False) -> None:
        """Bind a free port of 127.0.0.1; nothing is answered before `with`."""
        self.requests: list[SeenRequest] = []
        self.redirects_weights = redirects_weights
        self._repositories: dict[str, _Repository] = {}
        self._faults: dict[str, Fault] = {}
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_for(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def address(self) -> str:
        """What HF_ENDPOINT should be."""
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def cdn_address(self) -> str:
        """The same server under another host name."""
        return f"http://localhost:{self._server.server_port}"

    def __enter__(self) -> Self:
        """Start answering."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop answering; later connections are refused."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def add_repository(
        self, name: str, files: Mapping[str, bytes | Path], *, revision: str | None = None
    ) -> str:
        """Publish a revision of a repository, and make it the newest.

        Args:
            name: such as `acme/tiny`.
            files: by path; a Path is streamed from disk.
            revision: 40 hexadecimal digits; made from the files when None.

        Returns:
            The revision.
        """
        published = {path: _publish(path, content) for path, content in files.items()}
        digests = "".join(file.sha256 for file in published.values())
        chosen = revision or hashlib.sha256(digests.encode()).hexdigest()[:40]
        repository = self._repositories.setdefault(name.lower(), _Repository(name))
        repository.revisions[chosen] = published
        repository.newest = chosen
        return chosen

    def break_file(self, file: str, **fault: Any) -> None:
        """Switch a fault on for a file name, in every repository; see `Fault`."""
        self._faults[file] = Fault(**fault)

    def mend(self) -> None:
        """Switch all faults off."""
        self._faults.clear()
        for repository in self._repositories.values():
            repository.refusal = None

    def refuse(self, name: str, status: int, error_code: str = "") -> None:
        """Answer everything about a repository with an error."""
        self._repositories.setdefault(name.lower(), _Repository(name)).refusal = (
            status,
            error_code,
        )

    def count(self, method: str, file: str) -> int:
        """Count the requests for a file."""
        return len(self.seen(method, file))

    def seen(self, method: str, file: str) -> list[SeenRequest]:
        """List the requests for a file."""
        return [r for r in self.requests if r.method == method and r.file == file]

    def sent_bytes(self, file: str) -> int:
        """Sum what was sent of a file's content."""
        return sum(request.sent_bytes for request in self.seen("GET", file))

    def find(self, name: str) -> _Repository | None:
        """Look a repository up, in any case."""
        return self._repositories.get(name.lower())

    def take_fault(self, file: str) -> Fault:
        """Use up one occurrence of a file's fault."""
        with self._lock:
            fault = self._faults.get(file, Fault())
            if fault.times is not None:
                fault.times -= 1
            if fault.times == 0:
                self._faults[file] = fault.then or Fault()
            return fault

    def peek_fault(self, file: str) -> Fault:
        """Look at a file's fault without using it up."""
        return self._faults.get(file, Fault())


def _publish(path: str, content: bytes | Path) -> _File:
    is_large = path.endswith(_LARGE_SUFFIXES) or _length(content) > _LARGE_BYTES
    return _File(content, is_large=is_large)


def _length(content: bytes | Path) -> int:
    return content.stat().st_size if isinstance(content, Path) else len(content)


def _handler_for(hub: LoopbackHub) -> type[BaseHTTPRequestHandler]:
    class Handler(_Handler):
        pass

    Handler.hub = hub
    return Handler


class _Handler(BaseHTTPRequestHandler):
    hub: LoopbackHub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        self.close_connection = True
        path = unquote(urlsplit(self.path).path)
        try:
            if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/([^/]+))?", path):
                self._answer_api(match[1], match[2])
            elif match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
                self._answer_file(match[1], match[2], match[3])
            else:  # huggingface_hub's own errands, such as /api/agent-harnesses: not noted
                self._begin(HTTPStatus.NOT_FOUND, {"Content-Length": "0"})
        except (BrokenPipeError, ConnectionResetError):
            return  # the client left; some tests kill it

    def _answer_api(self, name: str, revision: str | None) -> None:
        repository = self.hub.find(name)
        if repository is None:
            return self._fail(HTTPStatus.NOT_FOUND, "RepoNotFound")
        if repository.refusal:
            return self._fail(*repository.refusal)
        if name != repository.name:
            return self._redirect(f"{self.hub.address}/api/models/{repository.name}?blobs=true")
        chosen = revision or repository.newest
        if chosen not in repository.revisions:
            return self._fail(HTTPStatus.NOT_FOUND, "RevisionNotFound")
        body = json.dumps(_model_info(repository, chosen)).encode()
        self._send(HTTPStatus.OK, {"Content-Type": "application/json"}, body)
        return None

    def _answer_file(self, name: str, revision: str, path: str) -> None:
        repository = self.hub.find(name)
        if repository is None:
            return self._fail(HTTPStatus.NOT_FOUND, "RepoNotFound", path)
        if repository.refusal:
            return self._fail(*repository.refusal, path)
        chosen = repository.newest if revision == "main" else revision
        if chosen not in repository.revisions:
            return self._fail(HTTPStatus.NOT_FOUND, "RevisionNotFound", path)
        file = repository.revisions[chosen].get(path)
        if file is None:
            return self._fail(HTTPStatus.NOT_FOUND, "EntryNotFound", path)
        return self._answer_content(file, path, chosen)

    def _answer_content(self, file: _File, path: str, revision: str) -> None:
        fault = self.hub.peek_fault(path)
        if fault.status is not None:
            self.hub.take_fault(path)
            return self._fail(fault.status, fault.error_code or "", path)
        headers = {"ETag": f'"{file.etag}"', "X-Repo-Commit": revision, "Accept-Ranges": "bytes"}
        if file.is_large:
            headers |= {"X-Linked-Size": str(file.size_bytes), "X-Linked-ETag": f'"{file.sha256}"'}
        is_cdn = self.headers.get("Host", "").startswith("localhost")
        if self.hub.redirects_weights and file.is_large and not is_cdn:
            return self._redirect(f"{self.hub.cdn_address}{self.path}", headers, path)
        if self.command == "HEAD":
            return self._send(
                HTTPStatus.OK, {**headers, "Content-Length": str(file.size_bytes)}, path=path
            )
        return self._stream(file, path, headers, self.hub.take_fault(path))

    def _stream(self, file: _File, path: str, headers: dict[str, str], fault: Fault) -> None:
        asked = None if fault.ignores_range else self.headers.get("Range")
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        if start >= file.size_bytes > 0:
            return self._fail(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "", path)
        status = HTTPStatus.PARTIAL_CONTENT if asked else HTTPStatus.OK
        if asked:
            headers["Content-Range"] = f"bytes {start}-{file.size_bytes - 1}/{file.size_bytes}"
        headers["Content-Length"] = str(file.size_bytes - start)
        seen = self._note(status, path)
        self._begin(status, headers)
        for chunk in _chunks(file, start, fault):
            seen.sent_bytes += len(chunk)
            self.wfile.write(chunk)
        if seen.sent_bytes < file.size_bytes - start:
            self.connection.shutdown(socket.SHUT_RDWR)
        return None

    def _redirect(self, to: str, headers: dict[str, str] | None = None, path: str = "") -> None:
        self._send(
            HTTPStatus.FOUND, {**(headers or {}), "Location": to, "Content-Length": "0"}, path=path
        )

    def _fail(self, status: int, error_code: str, path: str = "") -> None:
        headers = {"X-Error-Message": error_code or "no", "Content-Length": "0"}
        if error_code:
            headers["X-Error-Code"] = error_code
        self._send(status, headers, path=path)

    def _send(
        self, status: int, headers: dict[str, str], body: bytes = b"", path: str = ""
    ) -> None:
        self._note(status, path)
        self._begin(status, {"Content-Length": str(len(body)), **headers})
        self.wfile.write(body)

    def _begin(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Connection": "close"}.items():
            self.send_header(name, value)
        self.end_headers()

    def _note(self, status: int, file: str) -> SeenRequest:
        """Write a request down before it is answered, so that no client is ahead of the list."""
        asked = self.headers.get("Range")
        token = self.headers.get("Authorization")
        seen = SeenRequest(self.command, self.path, file, asked, token, int(status), 0)
        self.hub.requests.append(seen)
        return seen


def _chunks(file: _File, start: int, fault: Fault) -> Any:
    """Read a file from an offset on, as its fault has it."""
    sent_bytes, left = 0, file.size_bytes - start
    left = left if fault.cut_after_bytes is None else min(left, fault.cut_after_bytes)
    with file.open() as opened:
        opened.seek(start)
        while left > 0 and (chunk := opened.read(min(left, _CHUNK_BYTES))):
            time.sleep(fault.delay_s)
            if fault.gate is not None and sent_bytes >= fault.gate_after_bytes:
                fault.gate.wait(_GATE_S)
            sent_bytes, left = sent_bytes + len(chunk), left - len(chunk)
            yield bytes([chunk[0] ^ 1]) + chunk[1:] if fault.is_corrupt else chunk


def _model_info(repository: _Repository, revision: str) -> dict[str, Any]:
    return {
        "id": repository.name,
        "sha": revision,
        "private": False,
        "gated": False,
        "tags": [],
        "cardData": {"license": "mit"},
        "siblings": [
            {
                "rfilename": path,
                "size": file.size_bytes,
                "blobId": file.git_sha1,
                **({"lfs": _lfs(file)} if file.is_large else {}),
            }
            for path, file in repository.revisions[revision].items()
        ],
    }


def _lfs(file: _File) -> dict[str, Any]:
    return {"sha256": file.sha256, "size": file.size_bytes, "pointerSize": 134}
