"""The tiny model that tests of the store pull, and what a pull leaves behind."""

from __future__ import annotations

from pathlib import Path

from satsuma.store.local import ModelStore

TINY = "@cf/acme/tiny"
WEIGHTS = "model.safetensors"


def left_over(store: ModelStore) -> list[str]:
    """List what lies in the models' folder beside locks."""
    paths = store.models_dir.rglob("*")
    return sorted(p.name for p in paths if p.is_file() and p.parent.name != ".locks")


def blobs(hf_cache: Path) -> list[Path]:
    """List the whole and partial files of the cache."""
    return sorted(hf_cache.glob("models--*/blobs/*"))
