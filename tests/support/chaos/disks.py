"""Disks that are small, full or read-only: by a mount where this user may, else by other means."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from support.chaos.server import ChaosServer

_CHUNK_BYTES = 1 << 12


@contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[bool]:
    """Mount a disk of its own for the length of a block; gives whether that was allowed."""
    folder.mkdir(parents=True, exist_ok=True)
    flags = ["-t", "tmpfs", "-o", f"size={size_bytes}", "satsuma-chaos", str(folder)]
    is_mounted = _run("mount", *flags)
    try:
        yield is_mounted
    finally:
        if is_mounted:
            _run("umount", "--lazy", str(folder))


@contextmanager
def filled(folder: Path, server: ChaosServer | None, *, is_mounted: bool) -> Iterator[None]:
    """Leave no byte on a disk for the length of a block.

    Args:
        folder: on it.
        server: where nothing could be mounted, it may write to no file instead.
        is_mounted: what `small_disk` gave.
    """
    if is_mounted:
        filler = folder / "filler"
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while file.write(bytes(_CHUNK_BYTES)):
                pass
        yield
        filler.unlink()
        return
    assert server is not None
    _, most = resource.prlimit(server.process_id, resource.RLIMIT_FSIZE)
    resource.prlimit(server.process_id, resource.RLIMIT_FSIZE, (0, most))
    yield
    resource.prlimit(server.process_id, resource.RLIMIT_FSIZE, (most, most))


@contextmanager
def read_only(folder: Path, *, is_mounted: bool) -> Iterator[None]:
    """Let nobody write to a folder for the length of a block."""
    if is_mounted:
        _run("mount", "-o", "remount,ro", str(folder))
        yield
        return
    folders = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    for one in folders:
        one.chmod(0o555)
    yield
    for one in folders:
        one.chmod(0o755)


def harm(path: Path) -> None:
    """Write other bytes into the middle of a file, in place, as a bad disk or a bad hand does."""
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"\x41" * 4096)


def find_packed(cache: Path) -> Path:
    """Find the packed weights below a cache."""
    return max(cache.rglob("graphs/*/*/*"), key=lambda path: path.stat().st_size)


def _run(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False
