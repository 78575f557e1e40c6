"""How a model's files go: a folder of them, and the Hugging Face cache's that its links lead to.

A folder is first renamed, to its grave, so that it goes at once for whoever looks; a killed process
may leave graves behind.
"""

from __future__ import annotations

import glob
import shutil
import tempfile
from pathlib import Path

import huggingface_hub

from satsuma.store.record import read_record


def discard_folder(folder: Path) -> None:
    """Delete a folder, if it is there, so that nobody ever sees half of it.

    Under the model's lock only: what a killed process had left to delete goes as well.
    """
    if folder.exists():
        folder.rename(tempfile.mkdtemp(prefix=_grave_prefix(folder), dir=folder.parent))
    sweep_graves(folder)


def sweep_graves(folder: Path) -> None:
    """Delete what was to be deleted of a folder; under the model's lock only."""
    for grave in graves_of(folder):
        shutil.rmtree(grave)


def graves_of(folder: Path) -> list[Path]:
    """Find what is still to be deleted of a folder."""
    return list(folder.parent.glob(f"{glob.escape(_grave_prefix(folder))}*"))


def _grave_prefix(folder: Path) -> str:
    return f".{folder.name}.removed-"


def snapshots_under(folder: Path) -> set[Path]:
    """Find the snapshot folders of the Hugging Face cache that a model's links lead to."""
    record = read_record(folder)
    files = () if record is None else record.manifest.files
    links = [path for path in (folder / file.path for file in files) if path.is_symlink()]
    targets = [parent for link in links for parent in link.readlink().parents]
    return {target for target in targets if target.parent.name == "snapshots"}


def delete_snapshot(snapshot: Path) -> None:
    """Drop a revision, and the blobs that no other revision uses, from the cache it lies in."""
    cache = snapshot.parents[2]
    if snapshot.is_dir():
        found = huggingface_hub.scan_cache_dir(cache)
        found.delete_revisions(snapshot.name).execute()
