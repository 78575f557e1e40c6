"""Models of the hub that no catalog knows."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from support.hub import LoopbackHub
from support.models import tiny_files
from support.pulls import TINY, WEIGHTS, left_over

from satsuma.errors import (
    DigestMismatchError,
    HubNotFoundError,
    ModelNotFoundError,
    UnsupportedModelError,
)
from satsuma.store.fetch import PullOptions, pull
from satsuma.store.local import ModelStore


def test_hub_model_is_discovered(store: ModelStore, options: PullOptions, hub: LoopbackHub) -> None:
    """A repository outside the catalog, in another spelling, brings its own facts."""
    files = tiny_files(2) | {
        "modules.json": b"[]",
        "1_Pooling/config.json": b'{"pooling_mode_cls_token": true}',
        "README.md": b"not fetched",
    }
    newest = hub.add_repository("Acme/Sentence-Tiny", files)
    pulled = pull(store, "@hf/acme/sentence-tiny", options)
    manifest = pulled.manifest
    assert (manifest.id, manifest.repository) == ("@hf/acme/sentence-tiny", "Acme/Sentence-Tiny")
    assert (manifest.revision, manifest.licence) == (newest, "mit")
    assert (manifest.hidden_size, manifest.max_tokens, manifest.pooling) == (16, 64, "cls")
    assert (pulled.folder / "1_Pooling" / "config.json").is_file()
    assert not (pulled.folder / "README.md").exists()
    assert [row.manifest.id for row in store.list()] == [TINY, "@hf/acme/sentence-tiny"]
    assert store.resolve("@hf/acme/sentence-tiny").weights_sha256 == manifest.weights_sha256


def test_discovered_small_files_are_checked_by_git_digest(
    store: ModelStore, options: PullOptions, hub: LoopbackHub
) -> None:
    """The hub publishes no sha256 of them."""
    hub.add_repository("acme/other", tiny_files())
    hub.break_file("tokenizer.json", is_corrupt=True)
    with pytest.raises(DigestMismatchError, match=r"tokenizer\.json: expected git blob sha1"):
        pull(store, "@hf/acme/other", options)


def test_discovered_model_is_mended_from_its_record(
    store: ModelStore, options: PullOptions, hub: LoopbackHub, hf_cache: Path
) -> None:
    """A mend brings back the same revision, though the hub has a newer one."""
    first = hub.add_repository("acme/other", tiny_files(0))
    pull(store, "@hf/acme/other", options)
    hub.add_repository("acme/other", tiny_files(1))
    shutil.rmtree(hf_cache)
    assert pull(store, "@hf/acme/other", options).manifest.revision == first


def test_unsupported_architecture_is_refused_before_its_weights(
    store: ModelStore, options: PullOptions, hub: LoopbackHub
) -> None:
    """Only config.json is fetched to know."""
    hub.add_repository("acme/llama", tiny_files(model_type="llama"))
    with pytest.raises(UnsupportedModelError, match=r"'llama'.*Supported: bert"):
        pull(store, "@hf/acme/llama", options)
    assert {r.file for r in hub.requests} == {"", "config.json"}
    assert left_over(store) == []


def test_supported_architectures_are_the_callers(
    store: ModelStore, options: PullOptions, hub: LoopbackHub
) -> None:
    """What the engine can run is told to the store."""
    hub.add_repository("acme/roberta", tiny_files(model_type="xlm-roberta"))
    wider = replace(options, supported_model_types=("bert", "xlm-roberta"))
    assert pull(store, "@hf/acme/roberta", wider).manifest.max_tokens == 62


def test_what_the_engine_cannot_run_is_refused_before_its_weights(
    store: ModelStore, options: PullOptions, hub: LoopbackHub
) -> None:
    """The small files are enough to know: here, a module that nobody can compute."""
    modules = b'[{"type": "sentence_transformers.models.LSTM", "path": "1_LSTM"}]'
    hub.add_repository("acme/lstm", tiny_files() | {"modules.json": modules})
    with pytest.raises(UnsupportedModelError, match="the module LSTM"):
        pull(store, "@hf/acme/lstm", options)
    assert {r.file for r in hub.requests} == {"", "config.json", "modules.json"}
    assert left_over(store) == []


def test_unsupported_layout_is_refused_before_any_file(
    store: ModelStore, options: PullOptions, hub: LoopbackHub
) -> None:
    """The list of files is enough to know."""
    files = tiny_files()
    files["model.safetensors.index.json"] = files.pop(WEIGHTS)
    hub.add_repository("acme/sharded", files)
    with pytest.raises(UnsupportedModelError, match="sharded"):
        pull(store, "@hf/acme/sharded", options)
    assert {r.file for r in hub.requests} == {""}


def test_unknown_repository_is_not_found(store: ModelStore, options: PullOptions) -> None:
    """Nobody has published it."""
    with pytest.raises(HubNotFoundError, match="acme/unheard-of"):
        pull(store, "@hf/acme/unheard-of", options)


def test_name_that_the_hub_forbids_is_not_found(store: ModelStore, options: PullOptions) -> None:
    """huggingface_hub refuses it before asking."""
    with pytest.raises(HubNotFoundError, match="a--b"):
        pull(store, "@hf/acme/a--b", options)


@pytest.mark.parametrize("name", ["@local/mine", "@cf/acme/unheard-of", "@local/../x", "nonsense"])
def test_what_cannot_be_pulled_is_not_found(
    store: ModelStore, options: PullOptions, hub: LoopbackHub, name: str
) -> None:
    """Nobody is asked about a local folder, an unknown model or no id."""
    with pytest.raises(ModelNotFoundError):
        pull(store, name, options)
    assert hub.requests == []
