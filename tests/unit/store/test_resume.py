"""Downloads that are cut, and go on where they stopped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.hub import Fault, LoopbackHub
from support.models import WEIGHTS_BYTES, tiny_files, write_files
from support.pulls import TINY, WEIGHTS, blobs, left_over

from satsuma.errors import HubUnreachableError
from satsuma.store.fetch import PullOptions, pull
from satsuma.store.local import ModelStore


def test_cut_connection_is_taken_up_again(
    store: ModelStore, options: PullOptions, hub: LoopbackHub, messages: list[str]
) -> None:
    """One pull survives a cut: the second request asks for the rest only."""
    hub.break_file(WEIGHTS, cut_after_bytes=100_000, times=1)
    pull(store, TINY, options)
    assert [r.range for r in hub.seen("GET", WEIGHTS)] == [None, "bytes=100000-"]
    assert hub.sent_bytes(WEIGHTS) == WEIGHTS_BYTES
    assert any("connection lost" in message for message in messages)


def test_failed_pull_is_resumed_by_the_next(
    store: ModelStore, options: PullOptions, hub: LoopbackHub, hf_cache: Path
) -> None:
    """What had arrived when a pull gave up is not fetched again."""
    hub.break_file(WEIGHTS, cut_after_bytes=100_000, times=1, then=Fault(status=503))
    once = replace(options, hub=replace(options.hub, retry_waits_s=()))
    with pytest.raises(HubUnreachableError, match="goes on where it stopped"):
        pull(store, TINY, once)
    assert left_over(store) == []
    assert [b.stat().st_size for b in blobs(hf_cache) if b.suffix == ".incomplete"] == [100_000]
    hub.mend()
    hub.requests.clear()
    pull(store, TINY, once)
    assert [r.range for r in hub.seen("GET", WEIGHTS)] == ["bytes=100000-"]
    assert hub.sent_bytes(WEIGHTS) == WEIGHTS_BYTES - 100_000
    assert store.verify(TINY)


def test_server_that_ignores_range_is_read_from_the_start(
    store: ModelStore, options: PullOptions, hub: LoopbackHub, hf_cache: Path
) -> None:
    """A 200 instead of a 206 replaces the partial file."""
    _leave_partial(hf_cache, hub, tiny_files()[WEIGHTS][:1000])
    hub.break_file(WEIGHTS, ignores_range=True)
    pull(store, TINY, options)
    assert hub.sent_bytes(WEIGHTS) == WEIGHTS_BYTES
    assert store.verify(TINY)


@pytest.mark.parametrize("num_bytes", [1000, WEIGHTS_BYTES, WEIGHTS_BYTES + 1])
def test_partial_file_of_other_bytes_is_dropped(
    store: ModelStore, options: PullOptions, hub: LoopbackHub, hf_cache: Path, num_bytes: int
) -> None:
    """Whatever an earlier run left, the weights end up right."""
    _leave_partial(hf_cache, hub, bytes(num_bytes))
    pull(store, TINY, options)
    assert store.verify(TINY)


def _leave_partial(hf_cache: Path, hub: LoopbackHub, content: bytes) -> None:
    repository = hub.find("acme/tiny")
    assert repository is not None
    name = f"{repository.revisions[repository.newest][WEIGHTS].sha256}.incomplete"
    write_files(hf_cache / "models--acme--tiny" / "blobs", {name: content})


def test_weights_from_another_host_are_fetched_without_the_token(
    store: ModelStore, options: PullOptions, hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redirects to a content network are followed; credentials stay with the hub."""
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    hub.redirects_weights = True
    hub.break_file(WEIGHTS, cut_after_bytes=100_000, times=1)
    pull(store, TINY, options)
    answers = hub.seen("GET", WEIGHTS)
    assert {r.authorization for r in answers if r.status == 302} == {"Bearer hf_secret"}
    assert [(r.range, r.authorization) for r in answers if r.status in {200, 206}] == [
        (None, None),
        ("bytes=100000-", None),
    ]
