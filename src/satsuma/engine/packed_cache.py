"""Packed weights beside the model: built once, checked at each start, rebuilt when damaged.

A cache entry is a folder named after everything that its bytes depend on. It appears by one
rename, so a killed build leaves nothing that a later start could take for whole.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import filelock
import numpy as np

from satsuma.errors import DiskFullError, StoreError
from satsuma.types import Precision

_LOGGER = logging.getLogger(__name__)
_RECORD = "packed.json"
_KEPT_UNUSED_S = 14 * 24 * 3600.0

Build = Callable[[Path], None]


def cache_key(weights_sha256: str, precision: Precision, *others: object) -> str:
    """Name an entry after everything that its bytes depend on.

    Args:
        weights_sha256: digest of the checkpoint.
        precision: arithmetic of the weights.
        others: the model's config, the versions of what packs, and the
            processor's kind; each repr must tell all of it.
    """
    parts = [weights_sha256, precision.value, *map(repr, others)]
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]
    return f"{weights_sha256[:12]}-{precision}-{digest}"


def open_packed(packed_dir: Path, key: str, build: Build, needed_bytes: int = 0) -> Path:
    """Return the folder of this key, building it first where it is missing or damaged.

    Args:
        packed_dir: holds the entries; made if missing.
        key: from `cache_key`.
        build: fills an empty folder.
        needed_bytes: what a build takes at most, while it runs.

    Raises:
        DiskFullError: if there is no room for a build.
        StoreError: if the folder cannot be written.
    """
    entry = packed_dir / key
    if not _is_whole(entry):
        packed_dir.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(packed_dir / f"{key}.lock"):
            if not _is_whole(entry):  # another process may have built it meanwhile
                _check_room(entry, needed_bytes)
                _build_entry(entry, build)
    with suppress(OSError):  # a cache that cannot be written is good enough
        os.utime(entry / _RECORD)  # the time of the last use
    return entry


def _check_room(entry: Path, needed_bytes: int) -> None:
    """Refuse before the build: the runtime itself does not report a full disk clearly."""
    free_bytes = shutil.disk_usage(entry.parent).free
    if free_bytes < needed_bytes:
        raise DiskFullError(
            f"Packing the weights for this machine needs {needed_bytes // 10**6} MB for a moment, "
            f"and {entry.parent} has {free_bytes // 10**6} MB free. Make room there."
        )


def _build_entry(entry: Path, build: Build) -> None:
    if entry.exists():
        _LOGGER.warning("the packed weights in %s are damaged and will be built anew", entry)
    _LOGGER.info("packing the weights for this machine (once): %s", entry)
    shutil.rmtree(entry, ignore_errors=True)
    prefix = f".building-{entry.name}-"
    for stale in entry.parent.glob(prefix + "*"):  # a killed build's: this process has the lock
        shutil.rmtree(stale, ignore_errors=True)
    staging = Path(tempfile.mkdtemp(prefix=prefix, dir=entry.parent))
    try:
        build(staging)
        staging.chmod(0o755)  # mkdtemp's 0700 would hide it from a server of another user
        (staging / _RECORD).write_text(json.dumps(_checksums(staging)), encoding="utf-8")
        staging.rename(entry)
    except OSError as error:
        is_full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        kind = DiskFullError if is_full else StoreError
        raise kind(f"The packed weights cannot be written to {entry.parent}: {error}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    _discard_old(entry)


def _discard_old(entry: Path) -> None:
    """Delete what was packed of the same weights and not used for weeks, as after an upgrade."""
    weights, oldest_s = entry.name.split("-")[0], time.time() - _KEPT_UNUSED_S
    for record in entry.parent.glob(f"{weights}-*/{_RECORD}"):
        if not record.exists():  # another process was first
            continue
        if record.stat().st_mtime < oldest_s and record.parent != entry:
            shutil.rmtree(record.parent, ignore_errors=True)


def _is_whole(entry: Path) -> bool:
    """Compare every file with what was recorded when it was built."""
    try:
        recorded = json.loads((entry / _RECORD).read_text(encoding="utf-8"))
        return bool(recorded == _checksums(entry))
    except (OSError, ValueError, RecursionError):
        return False


def _checksums(folder: Path) -> dict[str, list[int]]:
    """Size and checksum of every file but the record."""
    files = sorted(path for path in folder.iterdir() if path.name != _RECORD)
    return {path.name: [path.stat().st_size, _checksum(path)] for path in files}


def _checksum(path: Path) -> int:
    """Sum the file's 64-bit words: at memory speed, and it notices any one damaged place."""
    content = np.memmap(path, dtype=np.uint8, mode="r")
    whole = len(content) // 8 * 8
    words = np.add.reduce(content[:whole].view("<u8"), dtype=np.uint64)
    return int(words) ^ int.from_bytes(content[whole:].tobytes(), "little")
