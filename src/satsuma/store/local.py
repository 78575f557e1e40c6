"""ModelStore: what is on this machine, whether it is whole, and where the engine finds it.

Reads and deletes files; never touches the network (that is `fetch.py`) and never loads a model.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from satsuma.errors import (
    DigestMismatchError,
    ModelNotFoundError,
    ModelNotInstalledError,
    StoreError,
    UnsupportedModelError,
)
from satsuma.store.catalog import HUB_PREFIX, LOCAL_PREFIX, Catalog, load_catalog
from satsuma.store.digest import check_file, check_size, remembered_sha256
from satsuma.store.graphs import GraphFolders
from satsuma.store.locks import model_lock
from satsuma.store.manifest import WEIGHTS_FILE, FileDigest, ModelFiles, ModelManifest
from satsuma.store.places import ModelState, Place, local_place, package_place, pulled_place
from satsuma.store.record import RECORD_FILE
from satsuma.store.removal import (
    delete_snapshot,
    discard_folder,
    graves_of,
    snapshots_under,
    sweep_graves,
)

_log = logging.getLogger(__name__)

_PULLED_FOLDERS = ("cf", "hf")


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """One row of `satsuma models list`.

    Attributes:
        manifest: what is known of the model.
        state: where it stands.
        folder: where its files lie; None if they are not here.
        size_bytes: of the files here, or of those that a pull would fetch; 0 if unknown.
        source: where the files came from; "" if they are not here.
    """

    manifest: ModelManifest
    state: ModelState
    folder: Path | None
    size_bytes: int
    source: str = ""

    @property
    def is_here(self) -> bool:
        """Whether the model can be loaded, as far as a look at its files tells."""
        return self.state not in {ModelState.NOT_INSTALLED, ModelState.DAMAGED}


class ModelStore:
    """The models of one folder, plus those that come in installed packages.

    Safe to share between threads and processes: models appear and go by a rename.
    """

    def __init__(
        self, models_dir: Path, *, catalog: Catalog | None = None, cache_dir: Path | None = None
    ) -> None:
        """Look at a folder, which need not exist yet.

        Args:
            models_dir: holds `cf/author/name`, `hf/organisation/name` and the user's own folders.
            catalog: the bundled one with the folder's own entries when None.
            cache_dir: for what must be written beside read-only models; the platform's when None.
        """
        self.models_dir = models_dir
        self.catalog = load_catalog(models_dir) if catalog is None else catalog
        self._cache_dir = cache_dir or platformdirs.user_cache_path("satsuma", appauthor=False)
        self._graphs = GraphFolders(self._cache_dir)

    def list(self) -> tuple[ModelStatus, ...]:
        """List the catalog's models, then the others that are here."""
        known = tuple(manifest.id for manifest in self.catalog.manifests)
        others = (model_id for model_id in self._found_ids() if model_id not in known)
        return tuple(map(self._status, known)) + tuple(map(self._found_status, others))

    def info(self, name: str) -> ModelStatus:
        """Tell where one model stands.

        Raises:
            ModelNotFoundError: if there is no such model.
        """
        return self._status(self.catalog.canonical_id(name))

    def resolve(self, name: str) -> ModelFiles:
        """Find an installed model's files, and make the folder of its graphs.

        Hashes the weights, once per version of the file; may then take a second.

        Raises:
            ModelNotFoundError: if there is no such model.
            ModelNotInstalledError: if its files are not here.
            DigestMismatchError: if a file's size, or the weights, are not as published.
            UnsupportedModelError: if a local folder lacks a file.
            StoreError: if no folder for its graphs can be made.
        """
        place = self._require(self.catalog.canonical_id(name))
        for file in place.manifest.files:
            _checked(place, file, is_read=False)
        sha256 = self._weights_sha256(place)
        graphs_dir = self._graphs.folder_for(place, sha256)
        return ModelFiles(place.manifest, place.folder, graphs_dir, sha256)

    def verify(self, name: str) -> tuple[FileDigest, ...]:
        """Read every file of a model again and compare it with its published digest.

        Returns:
            The measured size and sha256 of each file.

        Raises:
            ModelNotFoundError: if there is no such model.
            ModelNotInstalledError: if its files are not here.
            DigestMismatchError: names the file, what was expected and what is there.
        """
        place = self._require(self.catalog.canonical_id(name))
        return tuple(_checked(place, file, is_read=True) for file in place.manifest.files)

    def remove(self, name: str) -> Path:
        """Delete a pulled model, and what only it uses in the Hugging Face cache.

        Returns:
            The folder that is gone.

        Raises:
            ModelNotFoundError: if there is no such model.
            ModelNotInstalledError: if it is not here.
            StoreError: if it is the user's own folder, comes with an installed package, or
                cannot be deleted.
        """
        model_id = self.catalog.canonical_id(name)
        folder = self.folder_of(model_id)
        if model_id.startswith(LOCAL_PREFIX):
            message = f"{model_id} is your own folder, {folder}: delete it yourself."
            raise StoreError(message)
        is_pulled = (folder / RECORD_FILE).is_file()
        try:
            if is_pulled or graves_of(folder):
                self._discard(model_id, folder)
        except OSError as error:
            message = f"{model_id} cannot be removed from {folder}: {error}. Mend that, try again."
            raise StoreError(message) from error
        if not is_pulled:
            raise self._not_removable(model_id)
        return folder

    def folder_of(self, model_id: str) -> Path:
        """Give the folder of a canonical model id, whether or not it exists."""
        if model_id.startswith(LOCAL_PREFIX):
            return self.models_dir / model_id.removeprefix(LOCAL_PREFIX)
        return self.models_dir.joinpath(*model_id.removeprefix("@").split("/"))

    def _status(self, model_id: str) -> ModelStatus:
        try:
            place = self._locate(model_id)
            if place is not None:
                return _installed_status(place)
        except (UnsupportedModelError, OSError):  # OSError: a file goes while it is looked at
            return self._damaged_status(model_id)
        manifest = self._known(model_id)
        return ModelStatus(manifest, ModelState.NOT_INSTALLED, None, manifest.size_bytes)

    def _found_status(self, model_id: str) -> ModelStatus:
        """Tell where a model stands that has a folder, though perhaps little in it."""
        try:
            return self._status(model_id)
        except ModelNotFoundError:  # no catalog knows it any more, and not all of it is there
            return self._damaged_status(model_id)

    def _damaged_status(self, model_id: str) -> ModelStatus:
        manifest = self.catalog.find(model_id) or ModelManifest(model_id, "", "", ())
        return ModelStatus(manifest, ModelState.DAMAGED, self.folder_of(model_id), 0)

    def _found_ids(self) -> tuple[str, ...]:
        """Find the ids of pulled models, then of the user's own folders."""
        pulled = [
            folder.relative_to(self.models_dir).as_posix() for folder in self._pulled_folders()
        ]
        own = [config.parent.name for config in self.models_dir.glob("*/config.json")]
        ids = [*(f"@{path}" for path in pulled), *(f"{LOCAL_PREFIX}{folder}" for folder in own)]
        return tuple(sorted(model_id for model_id in ids if self._is_canonical(model_id)))

    def _pulled_folders(self) -> tuple[Path, ...]:
        patterns = (f"{top}/*/*/{RECORD_FILE}" for top in _PULLED_FOLDERS)
        return tuple(
            record.parent for pattern in patterns for record in self.models_dir.glob(pattern)
        )

    def _is_canonical(self, model_id: str) -> bool:
        """Tell a model's folder from staging folders and folders of no usable name."""
        try:
            return self.catalog.canonical_id(model_id) == model_id
        except ModelNotFoundError:
            return False

    def _require(self, model_id: str) -> Place:
        place = self._locate(model_id)
        if place is None:
            manifest = self._known(model_id)
            message = f"{model_id} is not installed. Get it: satsuma models pull {manifest.id}"
            raise ModelNotInstalledError(message)
        return place

    def _known(self, model_id: str) -> ModelManifest:
        """Give what is known of a model that is not here."""
        manifest = self.catalog.find(model_id)
        if manifest is not None:
            return manifest
        if model_id.startswith(HUB_PREFIX):
            return ModelManifest(model_id, model_id.removeprefix(HUB_PREFIX), "", ())
        advice = (
            f"Put config.json, tokenizer.json and {WEIGHTS_FILE} into {self.folder_of(model_id)}."
            if model_id.startswith(LOCAL_PREFIX)
            else "`satsuma models list` shows the models."
        )
        message = f"There is no model {model_id}. {advice}"
        raise ModelNotFoundError(message)

    def _locate(self, model_id: str) -> Place | None:
        """Look in the folder first: a pull wins over a package."""
        folder, manifest = self.folder_of(model_id), self.catalog.find(model_id)
        if model_id.startswith(LOCAL_PREFIX):
            return local_place(model_id, folder, manifest)
        return pulled_place(folder, manifest) or package_place(manifest)

    def _weights_sha256(self, place: Place) -> str:
        published = place.manifest.weights_sha256
        memory_dir = place.folder / ".graphs" if place.is_ours else self._cache_dir / "digests"
        name = place.manifest.weights_file
        measured = remembered_sha256(place.folder / name, memory_dir)
        if published not in {None, measured}:
            model = place.manifest.id
            message = f"{model}: {name}: expected sha256 {published}, got {measured}. {place.cure}"
            raise DigestMismatchError(message)
        return measured

    def _discard(self, model_id: str, folder: Path) -> None:
        with model_lock(self.models_dir, model_id, _log.info):
            snapshots = snapshots_under(folder)
            if (folder / RECORD_FILE).is_file():
                discard_folder(folder)
            else:
                sweep_graves(folder)
        for snapshot in snapshots - self._snapshots_in_use():
            delete_snapshot(snapshot)

    def _not_removable(self, model_id: str) -> StoreError | ModelNotInstalledError:
        place = self._locate(model_id)
        if place is None or place.manifest.package is None:
            return ModelNotInstalledError(f"{self._known(model_id).id} is not installed.")
        uninstall = f"pip uninstall {place.manifest.package.name}"
        return StoreError(f"{model_id} comes with an installed package. Remove it: {uninstall}")

    def _snapshots_in_use(self) -> set[Path]:
        folders = self._pulled_folders()
        return {snapshot for folder in folders for snapshot in snapshots_under(folder)}


def _installed_status(place: Place) -> ModelStatus:
    state = place.state if place.is_whole else ModelState.DAMAGED
    size_bytes = sum((place.folder / file.path).stat().st_size for file in place.manifest.files)
    return ModelStatus(place.manifest, state, place.folder, size_bytes, place.source)


def _checked(place: Place, file: FileDigest, *, is_read: bool) -> FileDigest:
    """Check a file's size, or all of it, and add the cure to what is wrong."""
    path = place.folder / file.path
    try:
        if is_read:
            return check_file(path, file)
        check_size(path, file)
    except DigestMismatchError as error:
        message = f"{place.manifest.id}: {error} {place.cure}"
        raise DigestMismatchError(message) from error
    return file
