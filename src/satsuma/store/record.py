"""`satsuma.json`, the note that a pull leaves in a model's folder: what it fetched, from where.

Reads and writes that one file; does not check whether the note is still true.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from satsuma.store.catalog import parse_manifest
from satsuma.store.digest import write_atomically
from satsuma.store.manifest import ModelManifest

RECORD_FILE = "satsuma.json"


@dataclass(frozen=True, slots=True)
class InstalledRecord:
    """What was pulled.

    Attributes:
        manifest: with size and sha256 of every file, as measured.
        source: `hub <address>` or `package <name>==<version>`.
        created_at: ISO 8601, UTC.
    """

    manifest: ModelManifest
    source: str
    created_at: str


def new_record(manifest: ModelManifest, source: str) -> InstalledRecord:
    """Make a record of this moment."""
    return InstalledRecord(manifest, source, datetime.now(UTC).isoformat(timespec="seconds"))


def write_record(folder: Path, record: InstalledRecord) -> None:
    """Leave the note in a folder."""
    text = json.dumps(to_json(record.manifest, record.source, record.created_at), indent=2)
    write_atomically(folder / RECORD_FILE, text + "\n")


def read_record(folder: Path) -> InstalledRecord | None:
    """Read the note of a folder; None if there is none, or none that makes sense."""
    try:
        entry = json.loads((folder / RECORD_FILE).read_bytes())
        return InstalledRecord(parse_manifest(entry), entry["source"], entry["created_at"])
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None


def to_json(manifest: ModelManifest, source: str, created_at: str) -> dict[str, Any]:
    """Spell a record as the JSON object that `parse_manifest` reads back."""
    entry = asdict(manifest)
    entry["file"] = [
        {name: value for name, value in file.items() if value is not None}
        for file in entry.pop("files")
    ]
    return {**entry, "source": source, "created_at": created_at}
