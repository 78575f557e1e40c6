"""Bringing a private folder among the models, as `@local/name`: by a link, or by a copy.

Checks the folder first; what its weights mean, whoever calls knows.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from satsuma.errors import StoreError
from satsuma.store.catalog import LOCAL_PREFIX
from satsuma.store.local import ModelStore
from satsuma.store.locks import model_lock
from satsuma.store.manifest import ModelFiles, ModelManifest
from satsuma.store.places import local_place

_log = logging.getLogger(__name__)

Check = Callable[[ModelFiles], object]


@dataclass(frozen=True, slots=True)
class AddedModel:
    """What was added.

    Attributes:
        manifest: what its own files tell of it.
        folder: where it is found from now on.
    """

    manifest: ModelManifest
    folder: Path


def add_folder(
    store: ModelStore, source: Path, name: str, check: Check, *, is_copied: bool = False
) -> AddedModel:
    """Add a folder as `@local/<name>`.

    Args:
        store: where to.
        source: has config.json, tokenizer.json, the weights and perhaps sentence-transformers'
            files.
        name: letters, digits, `.`, `_` and `-`.
        check: looks at the model, and raises UnsupportedModelError if it cannot be run.
        is_copied: copy the model's files; else the folder is linked, and has to stay.

    Raises:
        ModelNotFoundError: if the name cannot be one.
        UnsupportedModelError: if the folder lacks a file, or the engine could not run it.
        StoreError: if there is no such folder, the name is taken, or it cannot be written.
    """
    model_id = store.catalog.canonical_id(f"{LOCAL_PREFIX}{name}")
    place = local_place(model_id, source)
    if place is None:
        raise StoreError(f"{source} is no folder. Name the one that has the model's config.json.")
    check(ModelFiles(place.manifest, source, source, ""))
    target = store.folder_of(model_id)
    with model_lock(store.models_dir, model_id, _log.info):
        if target.exists() or target.is_symlink():
            message = f"{model_id} is here already, in {target}. Choose another --name."
            raise StoreError(message)
        paths = tuple(file.path for file in place.manifest.files)
        _bring(source.resolve(), target, paths if is_copied else ())
    return AddedModel(place.manifest, target)


def _bring(source: Path, target: Path, copied: tuple[str, ...]) -> None:
    """Link a folder, or copy those of its files; the target is there whole or not at all."""
    staging = target.with_name(f".{target.name}.staging")
    try:
        if not copied:
            target.symlink_to(source, target_is_directory=True)
            return
        shutil.rmtree(staging, ignore_errors=True)
        for path in copied:
            (staging / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / path, staging / path)
        staging.rename(target)
    except OSError as error:
        raise StoreError(f"{source} cannot be brought to {target}: {error}.") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
