"""Where the graphs and packed weights that are made of a model's files are kept."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import weakref
from contextlib import suppress
from pathlib import Path

from satsuma.errors import StoreError
from satsuma.store.places import Place

_log = logging.getLogger(__name__)

_DIGEST_PREFIX_CHARS = 16


class GraphFolders:
    """A folder for each model's graphs; one that lasts for a run only goes with this object."""

    def __init__(self, cache_dir: Path) -> None:
        """Make none yet.

        Args:
            cache_dir: holds those of models whose own folder is read-only.
        """
        self._cache_dir = cache_dir
        self._passing: Path | None = None

    def folder_for(self, place: Place, sha256: str) -> Path:
        """Make the folder of a model's graphs: beside it, in the cache, or for this run only.

        Raises:
            StoreError: if none can be made.
        """
        name = sha256[:_DIGEST_PREFIX_CHARS]
        beside = [place.folder / ".graphs"] if place.is_ours else []
        for folder in (*beside, self._cache_dir / "graphs" / name):
            with suppress(OSError):
                folder.mkdir(parents=True, exist_ok=True)
                if os.access(folder, os.W_OK):
                    return folder
        return self._passing_dir(place.manifest.id) / name

    def _passing_dir(self, model_id: str) -> Path:
        """Make a folder that lasts as long as this object, where nothing else can be written."""
        if self._passing is None:
            _log.warning(
                "the graph of %s is built for this run only: %s cannot be written "
                "(XDG_CACHE_HOME chooses another)",
                model_id,
                self._cache_dir,
            )
            try:
                self._passing = Path(tempfile.mkdtemp(prefix="satsuma-graphs-"))
            except OSError as error:
                message = f"No folder for the graph of {model_id} can be made: {error}"
                raise StoreError(message) from error
            weakref.finalize(self, shutil.rmtree, self._passing, ignore_errors=True)
        return self._passing
