from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest
from support.hub import LoopbackHub
from support.models import tiny_catalog, tiny_files, tiny_manifest

from satsuma.store.fetch import PullOptions
from satsuma.store.hub import Hub
from satsuma.store.local import ModelStore


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackHub]:
    """A hub that has `acme/tiny`."""
    # huggingface_hub would first ask the public hub how to describe this process.
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_TELEMETRY", True)
    with LoopbackHub() as started:
        started.add_repository("acme/tiny", tiny_files())
        yield started
    huggingface_hub.close_session()


@pytest.fixture
def revision(hub: LoopbackHub) -> str:
    """The newest revision of `acme/tiny`."""
    repository = hub.find("acme/tiny")
    assert repository is not None
    return repository.newest


@pytest.fixture
def hf_cache(tmp_path: Path) -> Path:
    """Where huggingface_hub keeps its files."""
    return tmp_path / "hf" / "hub"


@pytest.fixture
def store(tmp_path: Path, revision: str) -> ModelStore:
    """A store whose catalog has one tiny model, `@cf/acme/tiny`."""
    catalog = tiny_catalog(tiny_manifest(tiny_files(), revision))
    return ModelStore(tmp_path / "models", catalog=catalog, cache_dir=tmp_path / "cache")


@pytest.fixture
def messages() -> list[str]:
    """What a pull told the person who waits."""
    return []


@pytest.fixture
def options(hub: LoopbackHub, hf_cache: Path, messages: list[str]) -> PullOptions:
    """Pull from the loopback hub, and do not wait long between attempts."""
    return PullOptions(
        hub=Hub(
            endpoint=hub.address,
            cache_dir=hf_cache,
            retry_waits_s=(0.01, 0.01),
            notify=messages.append,
        )
    )
