"""Folders that cannot be made, and disks that are full."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.hub import LoopbackHub
from support.models import write_files
from support.pulls import TINY, WEIGHTS, left_over

from satsuma.errors import DiskFullError, StoreError
from satsuma.store.fetch import PullOptions, pull
from satsuma.store.local import ModelStore


def test_models_folder_that_cannot_be_made_is_named(
    store: ModelStore, options: PullOptions, tmp_path: Path
) -> None:
    """A file stands where the folder would be."""
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="--models-dir"):
        pull(ModelStore(tmp_path / "file", catalog=store.catalog), TINY, options)


def test_final_folder_that_cannot_be_made_is_named(store: ModelStore, options: PullOptions) -> None:
    """A file stands where the author's folder would be."""
    write_files(store.models_dir, {"cf": b""})
    with pytest.raises(StoreError, match="cannot be put into"):
        pull(store, TINY, options)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    program = shutil.which("mount")
    if program is None or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)  # noqa: S607


def test_full_disk_is_noticed_before_the_download(
    store: ModelStore, options: PullOptions, hub: LoopbackHub, small_disk: Path
) -> None:
    """The message says how much is needed and free, and where; nothing is fetched."""
    write_files(small_disk, {"filler": bytes(900_000)})
    full = replace(options, hub=replace(options.hub, cache_dir=small_disk / "hub"))
    with pytest.raises(DiskFullError, match=r"needs 0\.3 MB.*small/hub.*0\.1 MB are free"):
        pull(store, TINY, full)
    assert hub.count("GET", WEIGHTS) == 0


def test_disk_that_fills_up_during_the_download_is_named(
    store: ModelStore, options: PullOptions, hub: LoopbackHub, small_disk: Path
) -> None:
    """Somebody else takes the room; what had arrived stays for the next pull."""
    cache = small_disk / "hub"
    hub.break_file(WEIGHTS, delay_s=0.1)
    filler = threading.Thread(target=_fill_once_started, args=(small_disk, cache))
    filler.start()
    with pytest.raises(DiskFullError, match="needs more on the disk"):
        pull(store, TINY, replace(options, hub=replace(options.hub, cache_dir=cache)))
    filler.join()
    assert left_over(store) == []
    (small_disk / "filler").unlink()
    hub.mend()
    pull(store, TINY, replace(options, hub=replace(options.hub, cache_dir=cache)))
    assert hub.seen("GET", WEIGHTS)[-1].range is not None
    assert store.verify(TINY)


def _fill_once_started(disk: Path, cache: Path) -> None:
    deadline_s = time.monotonic() + 5
    while time.monotonic() < deadline_s:
        partials = list(cache.glob("models--*/blobs/*.incomplete"))
        if any(p.stat().st_size > 10_000 for p in partials if p.exists() and p.stat().st_size):
            break
        time.sleep(0.005)
    with contextlib.suppress(OSError), (disk / "filler").open("wb", buffering=0) as opened:
        while True:
            opened.write(bytes(4096))
