"""Are these bytes the published ones? Sizes, sha256, git's own digest, and a memory of them.

Knows files; does not know where they came from.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path

from satsuma.errors import DigestMismatchError
from satsuma.store.manifest import FileDigest

_CHUNK_BYTES = 1 << 20


def sha256_of(path: Path) -> str:
    """Hash a file, reading it once; about a second for 400 MB."""
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def git_sha1_of(path: Path) -> str:
    """Give the digest under which git stores a file: sha1 of a header and the bytes."""
    digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as opened:
        while chunk := opened.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def check_size(path: Path, expected: FileDigest) -> None:
    """Compare a file's length with the published one, without reading it.

    Raises:
        DigestMismatchError: if they differ.
    """
    size_bytes = path.stat().st_size
    if expected.size_bytes is not None and size_bytes != expected.size_bytes:
        message = f"{expected.path}: expected {expected.size_bytes} bytes, got {size_bytes}."
        raise DigestMismatchError(message)


def check_file(path: Path, expected: FileDigest) -> FileDigest:
    """Compare all of a file with what was published of it.

    Returns:
        The file's measured identity: size and sha256, never None.

    Raises:
        DigestMismatchError: names the file, what was expected and what is there.
    """
    check_size(path, expected)
    sha256 = sha256_of(path)
    if expected.sha256 is not None and sha256 != expected.sha256:
        message = f"{expected.path}: expected sha256 {expected.sha256}, got {sha256}."
        raise DigestMismatchError(message)
    if expected.git_sha1 is not None and (got := git_sha1_of(path)) != expected.git_sha1:
        message = f"{expected.path}: expected git blob sha1 {expected.git_sha1}, got {got}."
        raise DigestMismatchError(message)
    return FileDigest(expected.path, path.stat().st_size, sha256, expected.git_sha1)


def remembered_sha256(path: Path, memory_dir: Path) -> str:
    """Hash a file, unless that was done since it last changed.

    Args:
        path: the file; links are followed.
        memory_dir: where to remember; made if absent. If it cannot be written, nothing is lost
            but the time of hashing again.
    """
    resolved = path.resolve()
    status = resolved.stat()
    identity = [str(resolved), status.st_size, status.st_mtime_ns, status.st_ino]
    name = hashlib.sha256(str(resolved).encode()).hexdigest()[:16]
    memory = memory_dir / f"sha256-{name}.json"
    known = _recall(memory)
    if known.get("file") == identity:
        return str(known["sha256"])
    sha256 = sha256_of(resolved)
    _remember(memory, {"file": identity, "sha256": sha256})
    return sha256


def write_atomically(path: Path, text: str) -> None:
    """Write a small file so that nobody ever sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
            opened.write(text)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _recall(memory: Path) -> dict[str, object]:
    try:
        content = json.loads(memory.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) and "sha256" in content else {}


def _remember(memory: Path, content: dict[str, object]) -> None:
    try:
        write_atomically(memory, json.dumps(content))
    except OSError:
        return  # a read-only disk: hash again next time
