"""A pull, from an empty folder or over what is there."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import huggingface_hub
import pytest
from support.hub import LoopbackHub
from support.models import WEIGHTS_BYTES, tiny_catalog, tiny_files, tiny_manifest, write_files
from support.pulls import TINY, WEIGHTS, blobs, left_over

from satsuma.errors import DigestMismatchError, ModelNotInstalledError
from satsuma.store.fetch import PullOptions, pull
from satsuma.store.local import ModelStore
from satsuma.store.manifest import FileDigest
from satsuma.store.places import ModelState


def test_pulled_model_is_installed(store: ModelStore, options: PullOptions) -> None:
    """The folder links to the cache, and the engine finds everything in it."""
    pulled = pull(store, TINY, options)
    files = store.resolve(TINY)
    assert not pulled.was_installed
    assert files.folder == pulled.folder == store.models_dir / "cf" / "acme" / "tiny"
    assert {n: (files.folder / n).read_bytes() for n in tiny_files()} == tiny_files()
    assert (files.folder / WEIGHTS).is_symlink()
    assert files.graphs_dir == files.folder / ".graphs"
    assert store.info(TINY).state is ModelState.INSTALLED
    assert store.info(TINY).source.startswith("hub http://127.0.0.1")
    assert len(store.verify(TINY)) == 3


def test_second_pull_asks_nobody(store: ModelStore, options: PullOptions, hub: LoopbackHub) -> None:
    """A model that is here and right is left as it is."""
    pull(store, TINY, options)
    hub.requests.clear()
    assert pull(store, TINY, options).was_installed
    assert hub.requests == []


def test_cached_files_are_not_downloaded(
    store: ModelStore, options: PullOptions, hub: LoopbackHub, hf_cache: Path, revision: str
) -> None:
    """What another program fetched into the cache is used."""
    for path in tiny_files():
        huggingface_hub.hf_hub_download(
            "acme/tiny", path, revision=revision, cache_dir=hf_cache, endpoint=hub.address
        )
    hub.requests.clear()
    pull(store, TINY, options)
    assert hub.requests == []


def test_wrong_bytes_are_not_kept(
    store: ModelStore, options: PullOptions, hub: LoopbackHub, hf_cache: Path
) -> None:
    """The message names file, expected and got; no blob, link or folder of them stays."""
    hub.break_file(WEIGHTS, is_corrupt=True)
    with pytest.raises(
        DigestMismatchError, match=r"model\.safetensors: expected sha256 \w{64}, got \w{64}"
    ):
        pull(store, TINY, options)
    assert all(blob.stat().st_size < WEIGHTS_BYTES for blob in blobs(hf_cache))
    assert list(hf_cache.rglob(WEIGHTS)) == []
    assert left_over(store) == []


@pytest.mark.parametrize("change", [{"sha256": "0" * 64}, {"size_bytes": 1}])
def test_hub_that_promises_another_file_is_refused_at_once(
    store: ModelStore, options: PullOptions, hub: LoopbackHub, change: dict[str, object]
) -> None:
    """Weights that cannot be the published ones are not fetched."""
    (manifest,) = store.catalog.manifests
    files = tuple(replace(f, **change) if f.path == WEIGHTS else f for f in manifest.files)  # type: ignore[arg-type]
    other = ModelStore(store.models_dir, catalog=tiny_catalog(replace(manifest, files=files)))
    with pytest.raises(DigestMismatchError, match=r"model\.safetensors: expected .* from the hub"):
        pull(other, TINY, options)
    assert hub.count("GET", WEIGHTS) == 0


def test_damaged_cache_is_mended(store: ModelStore, options: PullOptions, hub: LoopbackHub) -> None:
    """Pulling a damaged model fetches the damaged file, and only that."""
    pull(store, TINY, options)
    (store.folder_of(TINY) / WEIGHTS).resolve().write_bytes(bytes(WEIGHTS_BYTES))
    with pytest.raises(DigestMismatchError, match=r"tiny: model\.safetensors.*satsuma models pull"):
        store.verify(TINY)
    hub.requests.clear()
    assert not pull(store, TINY, options).was_installed
    assert hub.count("GET", WEIGHTS) == 1
    assert hub.count("GET", "config.json") == 0
    assert store.verify(TINY)


def test_truncated_file_is_noticed_without_reading(store: ModelStore, options: PullOptions) -> None:
    """Resolve compares lengths, and the list says damaged."""
    pull(store, TINY, options)
    (store.folder_of(TINY) / WEIGHTS).resolve().write_bytes(b"short")
    with pytest.raises(DigestMismatchError, match="expected 300000 bytes, got 5"):
        store.resolve(TINY)
    assert store.info(TINY).state is ModelState.DAMAGED


def test_dangling_link_is_not_installed(
    store: ModelStore, options: PullOptions, hf_cache: Path
) -> None:
    """A cache that was cleared takes the model with it, until the next pull."""
    pull(store, TINY, options)
    shutil.rmtree(hf_cache)
    with pytest.raises(ModelNotInstalledError, match="satsuma models pull @cf/acme/tiny"):
        store.resolve(TINY)
    pull(store, TINY, options)
    assert store.resolve(TINY)


def test_staging_of_a_killed_pull_is_swept(store: ModelStore, options: PullOptions) -> None:
    """Nothing of it reaches the final folder, and nothing of it stays."""
    write_files(store.models_dir / "cf" / "acme" / ".tiny.staging", {"junk": b"x"})
    pull(store, TINY, options)
    assert left_over(store) == ["config.json", WEIGHTS, "satsuma.json", "tokenizer.json"]


def test_newer_catalog_pulls_its_revision(
    store: ModelStore, options: PullOptions, hub: LoopbackHub
) -> None:
    """A model of an older revision still resolves, and a pull replaces it."""
    pull(store, TINY, options)
    newer = hub.add_repository("acme/tiny", tiny_files(1))
    upgraded = ModelStore(
        store.models_dir, catalog=tiny_catalog(tiny_manifest(tiny_files(1), newer))
    )
    before = upgraded.resolve(TINY).weights_sha256
    assert not pull(upgraded, TINY, options).was_installed
    assert upgraded.resolve(TINY).weights_sha256 != before
    assert upgraded.resolve(TINY).manifest.revision == newer


def test_published_facts_are_completed_by_measured_ones(
    store: ModelStore, options: PullOptions
) -> None:
    """A size and a digest that nobody published are known after the pull."""
    (manifest,) = store.catalog.manifests
    vague = tuple(FileDigest(file.path) for file in manifest.files)
    other = ModelStore(store.models_dir, catalog=tiny_catalog(replace(manifest, files=vague)))
    pull(other, TINY, options)
    assert other.info(TINY).manifest.files == manifest.files
    assert other.resolve(TINY).weights_sha256 == manifest.weights_sha256
