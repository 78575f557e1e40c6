"""What goes with a model that is removed, and what stays."""

from __future__ import annotations

from pathlib import Path

import huggingface_hub
import pytest
from support.hub import LoopbackHub
from support.models import tiny_files, write_files
from support.pulls import TINY, blobs

from satsuma.errors import ModelNotInstalledError
from satsuma.store.fetch import PullOptions, pull
from satsuma.store.local import ModelStore
from satsuma.store.places import ModelState


def test_remove_deletes_folder_and_cache(
    store: ModelStore, options: PullOptions, hf_cache: Path
) -> None:
    """Nothing of the model stays on the disk."""
    pull(store, TINY, options)
    folder = store.remove(TINY)
    assert not folder.exists()
    assert list(hf_cache.glob("models--*")) == []
    with pytest.raises(ModelNotInstalledError):
        store.remove(TINY)


def test_remove_spares_what_others_use(
    store: ModelStore, options: PullOptions, hub: LoopbackHub, hf_cache: Path
) -> None:
    """Blobs of another revision stay, and so does all that another model links to."""
    pull(store, TINY, options)
    pull(store, "@hf/acme/tiny", options)
    newer = hub.add_repository("acme/tiny", tiny_files(1))
    config = huggingface_hub.hf_hub_download(
        "acme/tiny", "config.json", revision=newer, cache_dir=hf_cache, endpoint=hub.address
    )
    store.remove(TINY)
    assert store.verify("@hf/acme/tiny")
    store.remove("@hf/acme/tiny")
    assert Path(config).is_file()
    assert len(blobs(hf_cache)) == 1


@pytest.mark.parametrize("is_here", [False, True])
def test_what_a_killed_removal_left_is_swept(
    store: ModelStore, options: PullOptions, *, is_here: bool
) -> None:
    """Whether or not there is anything to fetch."""
    if is_here:
        pull(store, TINY, options)
    grave = write_files(store.folder_of(TINY).with_name(".tiny.removed-77"), tiny_files())
    pull(store, TINY, options)
    assert not grave.exists()
    assert store.info(TINY).state is ModelState.INSTALLED
