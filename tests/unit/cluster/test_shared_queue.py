"""Which queues a cluster takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from satsuma.cluster.shared_queue import check_shared, open_shared_jobs
from satsuma.errors import ConfigurationError
from satsuma.settings import Settings
from satsuma.types import EmbedRequest, EmbedResult


async def embed(_: EmbedRequest) -> EmbedResult:
    """Is not called."""
    raise NotImplementedError


def test_a_file_of_one_node_is_no_queue_of_a_cluster(tmp_path: Path) -> None:
    """The others would not see it."""
    settings = Settings(queue_url=f"sqlite:///{tmp_path}/queue.db")
    with pytest.raises(ConfigurationError, match="postgresql://"):
        check_shared(settings)
    with pytest.raises(ConfigurationError, match="postgresql://"):
        open_shared_jobs(settings, embed)


def test_without_an_address_there_is_none() -> None:
    """Queued requests are refused then."""
    assert open_shared_jobs(Settings(), embed) is None
