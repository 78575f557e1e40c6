"""What a cluster is asked for, and what its nodes have."""

from __future__ import annotations

import pytest

from satsuma.cluster.options import ClusterOptions, keep_to_cores
from satsuma.errors import ConfigurationError


def test_texts_spell_numbers() -> None:
    """As `serve run ... max_replicas=4` gives them."""
    options = ClusterOptions.parse(
        {"max_replicas": "4", "upscale_delay_s": "0.5", "gateways": None}
    )
    assert (options.max_replicas, options.upscale_delay_s, options.gateways) == (4, 0.5, 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_replicas": "many"}, "max_replicas cannot be 'many': a whole number is needed"),
        ({"replica_cores": 1.5}, "replica_cores cannot be 1.5"),
        ({"min_replicas": 0}, "min_replicas must be 1 or more"),
        ({"gateways": -1}, "gateways must be 0 or more"),
        ({"min_replicas": 3, "max_replicas": 2}, "max_replicas must be at least min_replicas"),
        ({"max_ongoing_requests": 8}, "at least target_ongoing_requests"),
        ({"upscale_delay_s": "nan"}, "upscale_delay_s must be 0 or more"),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments: dict[str, object], message: str) -> None:
    """With the option's name."""
    with pytest.raises(ConfigurationError, match=message):
        ClusterOptions.parse(arguments)


def test_a_replica_takes_the_smallest_node_whole() -> None:
    """And there may be as many as the nodes have room for."""
    settled = ClusterOptions().on([16, 4, 4])
    assert (settled.replica_cores, settled.max_replicas, settled.gateways) == (4, 6, 3)


def test_what_was_asked_for_stays() -> None:
    """Whatever the nodes have."""
    asked = ClusterOptions(replica_cores=2, min_replicas=5, max_replicas=9, gateways=1)
    assert asked.on([2, 2]) == asked


def test_more_replicas_may_be_wanted_than_there_is_room_for() -> None:
    """Nodes may join later."""
    assert ClusterOptions(min_replicas=5).on([1]).max_replicas == 5


@pytest.mark.parametrize("node_cores", [[], [4, 2]])
def test_no_room_is_explained(node_cores: list[int]) -> None:
    """With what the largest node has."""
    with pytest.raises(ConfigurationError, match="No node has 8 cores for a replica"):
        ClusterOptions(replica_cores=8).on(node_cores)


@pytest.mark.parametrize("given", [{}, {"device": "auto"}, {"device": "cpu"}])
def test_every_node_keeps_to_its_cores(given: dict[str, str]) -> None:
    """Whatever cards it has, and whatever its own environment says."""
    assert keep_to_cores({**given, "lanes": 2}) == {"device": "cpu", "lanes": 2}


def test_a_cluster_takes_no_card() -> None:
    """Rather than leave it idle without a word."""
    with pytest.raises(ConfigurationError, match="runs on cores, and device cuda:1 was given"):
        keep_to_cores({"device": "cuda:1"})
