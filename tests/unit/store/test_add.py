"""A private folder becomes a model: linked or copied, checked first."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.models import tiny_files, write_files

from satsuma.errors import ModelNotFoundError, StoreError, UnsupportedModelError
from satsuma.store.add import add_folder
from satsuma.store.local import ModelStore
from satsuma.store.manifest import ModelFiles
from satsuma.store.places import ModelState

POOLING = {"1_Pooling/config.json": b'{"pooling_mode_cls_token": true}'}


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    """An empty one."""
    return ModelStore(tmp_path / "models", cache_dir=tmp_path / "cache")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder that somebody has, with a file that is no model's."""
    return write_files(tmp_path / "theirs", {**tiny_files(), **POOLING, "notes.txt": b"x"})


def accept(files: ModelFiles) -> None:
    """Find nothing wrong."""
    assert files.weights.is_file()


def refuse(_files: ModelFiles) -> None:
    """Find it unfit."""
    raise UnsupportedModelError("no")


@pytest.mark.parametrize("is_copied", [False, True])
def test_a_folder_is_a_model(store: ModelStore, source: Path, *, is_copied: bool) -> None:
    """Found and resolved as any other of the user's own."""
    added = add_folder(store, source, "mine", accept, is_copied=is_copied)
    assert (added.manifest.id, added.manifest.hidden_size) == ("@local/mine", 16)
    assert added.folder == store.models_dir / "mine"
    (row,) = [row for row in store.list() if row.state is ModelState.LOCAL]
    assert row.manifest == added.manifest
    assert store.resolve("@local/mine").weights.read_bytes() == tiny_files()["model.safetensors"]


def test_a_link_follows_the_folder(store: ModelStore, source: Path) -> None:
    """Nothing is copied."""
    folder = add_folder(store, source, "mine", accept).folder
    assert folder.is_symlink()
    assert folder.resolve() == source.resolve()


def test_a_copy_has_the_models_files_alone(store: ModelStore, source: Path) -> None:
    """Those of its modules too, and it does not need the folder any more."""
    folder = add_folder(store, source, "mine", accept, is_copied=True).folder
    paths = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert paths == {*tiny_files(), *POOLING}


def test_nothing_is_added_that_cannot_be_run(store: ModelStore, source: Path) -> None:
    """By whoever knows the engine, or for want of a file."""
    with pytest.raises(UnsupportedModelError):
        add_folder(store, source, "mine", refuse)
    (source / "tokenizer.json").unlink()
    with pytest.raises(UnsupportedModelError, match=r"tokenizer\.json"):
        add_folder(store, source, "mine", accept)
    assert not (store.models_dir / "mine").exists()


def test_a_name_is_taken_once(store: ModelStore, source: Path) -> None:
    """Also where its link leads nowhere any more."""
    add_folder(store, source, "mine", accept)
    with pytest.raises(StoreError, match="is here already"):
        add_folder(store, source, "mine", accept, is_copied=True)


@pytest.mark.parametrize("name", ["a/b", "..", "cf", ""])
def test_a_name_has_to_be_one(store: ModelStore, source: Path, name: str) -> None:
    """As in a model's id."""
    with pytest.raises(ModelNotFoundError):
        add_folder(store, source, name, accept)


def test_what_is_no_folder_is_named(store: ModelStore, tmp_path: Path) -> None:
    """With what would do."""
    with pytest.raises(StoreError, match="is no folder"):
        add_folder(store, tmp_path / "none", "mine", accept)


def test_a_failed_copy_leaves_nothing(store: ModelStore, source: Path) -> None:
    """Neither the model nor half of it."""

    def take_away(files: ModelFiles) -> None:
        files.weights.unlink()

    with pytest.raises(StoreError, match="cannot be brought"):
        add_folder(store, source, "mine", take_away, is_copied=True)
    assert [path.name for path in store.models_dir.iterdir()] == [".locks"]
