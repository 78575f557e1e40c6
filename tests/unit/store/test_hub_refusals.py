"""A hub that lacks something, or forbids it, or is none."""

from __future__ import annotations

import socket
from dataclasses import replace

import pytest
from support.hub import LoopbackHub
from support.models import tiny_catalog, tiny_files, tiny_manifest
from support.pulls import TINY, WEIGHTS, left_over

from satsuma.errors import HubForbiddenError, HubNotFoundError, HubUnreachableError
from satsuma.store.fetch import PullOptions, pull
from satsuma.store.local import ModelStore


def test_missing_file_is_not_found(
    store: ModelStore, options: PullOptions, hub: LoopbackHub
) -> None:
    """The hub has the repository and not the file."""
    hub.break_file(WEIGHTS, status=404, error_code="EntryNotFound")
    with pytest.raises(HubNotFoundError, match="acme/tiny"):
        pull(store, TINY, options)
    assert left_over(store) == []


def test_missing_revision_is_not_found(store: ModelStore, options: PullOptions) -> None:
    """The hub has the repository and not the revision."""
    missing = tiny_catalog(tiny_manifest(tiny_files(), "0" * 40))
    with pytest.raises(HubNotFoundError, match="no such revision of acme/tiny"):
        pull(ModelStore(store.models_dir, catalog=missing), TINY, options)


@pytest.mark.parametrize("status", [401, 404])
def test_missing_repository_is_not_found(
    store: ModelStore, options: PullOptions, hub: LoopbackHub, status: int
) -> None:
    """The hub says 401 to those without a token, lest it tell what is private."""
    hub.refuse("acme/tiny", status, "RepoNotFound")
    with pytest.raises(HubNotFoundError, match=r"no repository.*HF_TOKEN"):
        pull(store, TINY, options)


@pytest.mark.parametrize(("status", "code"), [(401, ""), (403, ""), (403, "GatedRepo")])
def test_refusal_mentions_the_token(
    store: ModelStore, options: PullOptions, hub: LoopbackHub, status: int, code: str
) -> None:
    """A gated repository, or a token that may not read it."""
    hub.refuse("acme/tiny", status, code)
    with pytest.raises(HubForbiddenError, match=f"({status}).*HF_TOKEN"):
        pull(store, TINY, options)


def test_refused_connection_is_unreachable(store: ModelStore, options: PullOptions) -> None:
    """Nobody listens there."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        nobody = replace(options.hub, endpoint=f"http://127.0.0.1:{bound.getsockname()[1]}")
        with pytest.raises(HubUnreachableError, match="did not deliver acme/tiny"):
            pull(store, TINY, replace(options, hub=nobody))
    assert left_over(store) == []


def test_server_that_is_no_hub_is_unreachable(
    store: ModelStore, options: PullOptions, hub: LoopbackHub
) -> None:
    """A gateway's login page has no commit and no usable ETag."""
    hub.break_file("config.json", status=204)
    with pytest.raises(HubUnreachableError, match="Check HF_ENDPOINT"):
        pull(store, TINY, options)
