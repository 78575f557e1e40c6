"""Who embeds for a driver, with stand-ins for nodes and actors.

Needs Ray's exceptions, so these run in its environment: tests/functional/test_ray_units.py.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from concurrent.futures import wait as wait_for_futures
from typing import Any

import pytest

ray = pytest.importorskip("ray", reason="Ray is in an environment of its own")

from ray.exceptions import ActorDiedError

from satsuma.cluster import members
from satsuma.cluster.members import Members
from satsuma.errors import ClusterError, ModelNotFoundError
from satsuma.outcomes import Refusal

WANTED = {"model": "m", "engine": "native"}


class Actor:
    """A stand-in for an actor: has begun at once, with this to tell."""

    def __init__(self, told: Any) -> None:
        """Say this."""
        self.begin = self
        self._told = told
        self.is_killed = False

    def remote(self) -> Future[Any]:
        """Begin."""
        future: Future[Any] = Future()
        if isinstance(self._told, Exception):
            future.set_exception(self._told)
        else:
            future.set_result(self._told)
        return future


class Cluster:
    """Nodes that come and go, and what their actors tell."""

    def __init__(self) -> None:
        """Begin with none."""
        self.told: dict[str, Any] = {}
        self.actors: list[Actor] = []

    def nodes(self) -> list[dict[str, Any]]:
        """List them as Ray does."""
        return [{"NodeID": id_, "Alive": True, "Resources": {"CPU": 1.0}} for id_ in self.told]

    def make_member(self, node: Mapping[str, Any]) -> Actor:
        """Put an actor on one."""
        self.actors.append(Actor(self.told[node["NodeID"]]))
        return self.actors[-1]


Gather = Callable[..., Members]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """A cluster that is looked at all the time."""
    found = Cluster()
    monkeypatch.setattr(members, "_LOOK_EVERY_S", 0.001)
    monkeypatch.setattr(ray, "nodes", found.nodes)
    monkeypatch.setattr(ray, "get", lambda future: future.result())
    monkeypatch.setattr(ray, "wait", _wait)
    monkeypatch.setattr(ray, "kill", lambda actor: setattr(actor, "is_killed", True))
    return found


def _wait(futures: list[Future[Any]], num_returns: int, timeout: float) -> tuple[Any, Any]:
    assert num_returns == len(futures)
    return wait_for_futures(futures, timeout)


@pytest.fixture
def gather(cluster: Cluster) -> Iterator[Callable[[], Members]]:
    """Make the members, once the nodes are there."""
    made: list[Members] = []

    def make() -> Members:
        made.append(Members(cluster.make_member, WANTED))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_the_least_busy_one_is_taken(cluster: Cluster, gather: Gather) -> None:
    """So that two lists go to two nodes."""
    cluster.told = {"a": WANTED, "b": WANTED}
    found = gather()
    with found.least_busy():
        while found.count < 2:
            pass
        with found.least_busy() as second, found.least_busy() as third:
            assert second is not third


def test_a_node_that_joins_is_taken_in(cluster: Cluster, gather: Gather) -> None:
    """Whoever waits for a member gets it."""
    found = gather()
    joining = threading.Timer(0.05, lambda: cluster.told.update(a=WANTED))
    joining.start()
    with found.least_busy() as member:
        assert member is cluster.actors[0]
    joining.join()


def test_a_lost_member_is_replaced(cluster: Cluster, gather: Gather) -> None:
    """By an actor on the same node, as long as it is there."""
    cluster.told = {"a": WANTED}
    found = gather()
    with pytest.raises(ActorDiedError), found.least_busy():
        raise ActorDiedError
    with found.least_busy() as member:
        assert member is cluster.actors[1]


@pytest.mark.parametrize("told", [WANTED, ActorDiedError()], ids=["later", "at once"])
def test_a_node_whose_actor_always_ends_is_given_up(
    cluster: Cluster, gather: Gather, told: Any
) -> None:
    """After three of them."""
    cluster.told = {"a": told}
    found = gather()
    for _ in range(3 if told is WANTED else 0):
        with pytest.raises(ActorDiedError), found.least_busy():
            raise ActorDiedError
    with pytest.raises(ClusterError, match="its actor ended too often"), found.least_busy():
        pass


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({**WANTED, "engine": "ONNX Runtime"}, "engine was native and is ONNX Runtime"),
        (Refusal.of(ModelNotFoundError("There is no model m.")), "There is no model m."),
    ],
    ids=["another engine", "no model"],
)
def test_a_node_that_cannot_is_left_out(
    cluster: Cluster, gather: Gather, told: Any, reason: str
) -> None:
    """With the reason, where no other is left."""
    cluster.told = {"a": told}
    found = gather()
    with pytest.raises(ClusterError, match=reason), found.least_busy():
        pass
    assert cluster.actors[0].is_killed


def test_closing_ends_every_actor(cluster: Cluster, gather: Gather) -> None:
    """And nobody is asked any more."""
    cluster.told = {"a": WANTED, "b": WANTED}
    found = gather()
    found.close()
    assert [actor.is_killed for actor in cluster.actors] == [True, True]
    assert found.is_closed
