"""Copying files into somebody's project, without ever undoing what they changed there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

_RECORD = ".written.json"  # what was written, by digest: all else is the user's


class Change(StrEnum):
    """What happens to one file."""

    CREATE = "create"
    UPDATE = "update"
    KEEP = "keep"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be written into a folder.

    Attributes:
        folder: where.
        contents: each file's bytes, by its path in the folder.
        changes: what happens to each of them.
    """

    folder: Path
    contents: Mapping[str, bytes]
    changes: Mapping[str, Change]

    def having(self, *wanted: Change) -> list[str]:
        """List the files of these changes."""
        return [path for path, change in self.changes.items() if change in wanted]

    def write(self) -> None:
        """Write what is not there yet or differs, and record it."""
        for path in self.having(Change.CREATE, Change.UPDATE, Change.CONFLICT):
            target = self.folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(self.contents[path])
        record = {path: _digest(content) for path, content in self.contents.items()}
        (self.folder / _RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def plan_copy(source: Path, folder: Path) -> Plan:
    """Compare the files of a folder with what is in another."""
    contents = dict(_files(source))
    record = _read_record(folder)
    changes = {path: _compare(folder / path, contents[path], record.get(path)) for path in contents}
    return Plan(folder, contents, changes)


def _files(source: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(source.rglob("*")):
        if path.is_file() and "node_modules" not in path.parts:
            yield path.relative_to(source).as_posix(), path.read_bytes()


def _compare(target: Path, content: bytes, written: str | None) -> Change:
    if not target.exists():
        return Change.CREATE
    present = target.read_bytes()
    if present == content:
        return Change.KEEP
    return Change.UPDATE if _digest(present) == written else Change.CONFLICT


def _read_record(folder: Path) -> dict[str, str]:
    try:
        record: dict[str, str] = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # whatever lies there is then the user's
    return record


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
