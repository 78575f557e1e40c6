"""Copying an npm package into somebody's project, without ever undoing what they changed there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

_RECORD = ".written.json"  # what was written, by digest: all else is the user's
_PARTIAL = ".satsuma-partial"  # behind the name of a file that is not written to its end


class Change(StrEnum):
    """What happens to one file."""

    CREATE = "create"
    UPDATE = "update"
    REMOVE = "remove"
    KEEP = "keep"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be written into a folder.

    Attributes:
        folder: where.
        contents: each file's bytes, by its path in the folder.
        changes: what happens to each of them, and to what an older package left there.
        record: the digests of what was written into it before.
    """

    folder: Path
    contents: Mapping[str, bytes]
    changes: Mapping[str, Change]
    record: Mapping[str, str]

    def having(self, *wanted: Change) -> list[str]:
        """List the files of these changes."""
        return [path for path, change in self.changes.items() if change in wanted]

    def write(self) -> None:
        """Write what is not there yet or differs, and remove what is no more.

        What was written is recorded even if the disk is full before the end, so that the next
        attempt knows its own files.
        """
        record = dict(self.record)
        try:
            for path in self.having(Change.CREATE, Change.UPDATE, Change.CONFLICT):
                replace_file(self.folder / path, self.contents[path])
                record[path] = _digest(self.contents[path])
        finally:
            self._keep_record(record)
        for path in self.having(Change.REMOVE):
            (self.folder / path).unlink()
        self._keep_record({path: _digest(content) for path, content in self.contents.items()})

    def _keep_record(self, record: Mapping[str, str]) -> None:
        text = json.dumps(dict(sorted(record.items())), indent=1) + "\n"
        replace_file(self.folder / _RECORD, text.encode())


def plan_copy(package: Path, folder: Path) -> Plan:
    """Compare the files of an npm package with what is in a folder."""
    contents = dict(_files(package))
    record = _read_record(folder)
    changes = {path: _compare(folder / path, contents[path], record.get(path)) for path in contents}
    dropped = (path for path in record if path not in contents)
    changes |= {path: Change.REMOVE for path in dropped if _is_as_recorded(folder, path, record)}
    return Plan(folder, contents, changes, record)


def replace_file(target: Path, content: bytes) -> None:
    """Write a file whole or not at all; one that has this content already is not touched."""
    if target.is_file() and target.read_bytes() == content:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + _PARTIAL)
    try:
        partial.write_bytes(content)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _files(package: Path) -> Iterator[tuple[str, bytes]]:
    """Give what npm would pack: an editor's and a project's own files may lie beside it."""
    listed = json.loads((package / "package.json").read_bytes())["files"]
    for path in sorted(["package.json", *listed]):
        yield path, (package / path).read_bytes()


def _compare(target: Path, content: bytes, written: str | None) -> Change:
    if not target.exists():
        return Change.CREATE
    present = target.read_bytes()
    if present == content:
        return Change.KEEP
    return Change.UPDATE if _digest(present) == written else Change.CONFLICT


def _is_as_recorded(folder: Path, path: str, record: Mapping[str, str]) -> bool:
    target = folder / path
    return target.is_file() and _digest(target.read_bytes()) == record[path]


def _read_record(folder: Path) -> dict[str, str]:
    try:
        record = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        record = None
    return record if isinstance(record, dict) else {}  # else whatever lies there is the user's


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
