"""The members of a cluster that embed for one driver: who is there, who is free, who was lost.

A thread looks for nodes: one that joins is taken in, one whose actor ended gets another, and one
that would make other vectors than the driver's is left out.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from satsuma.bulk.plan import differences
from satsuma.cluster.member import Member
from satsuma.errors import ClusterError
from satsuma.outcomes import Refusal

_LOGGER = logging.getLogger(__name__)
_LOOK_EVERY_S = 1.0
_BEGINS_WITHIN_S = 300.0  # weights may have to be fetched
_MAX_STARTS = 3  # on one node
LISTS_AT_ONCE = 3  # of a member: one runs, one is tokenised, one waits

MakeMember = Callable[[Mapping[str, Any]], Any]
"""A node, as Ray describes it -> an actor there."""


@dataclass(slots=True, eq=False)
class _Seat:
    """A node's place among the members."""

    actor: Any
    beginning: Any  # what `Member.begin` will return
    is_ready: bool = False
    num_lists: int = 0


class Members:
    """One actor a node, as long as there are nodes. Thread-safe."""

    def __init__(self, make_member: MakeMember, wanted: Mapping[str, str]) -> None:
        """Begin to look for nodes.

        Args:
            make_member: puts an actor on a node.
            wanted: what a member must say that its vectors depend on.
        """
        self._make_member = make_member
        self._wanted = wanted
        self._seats: dict[str, _Seat] = {}
        self._num_starts: dict[str, int] = {}
        self._reasons: dict[str, str] = {}
        self._changed = threading.Condition()
        self._is_closed = threading.Event()
        self._look()
        self._thread = threading.Thread(target=self._keep_looking, name="satsuma-members")
        self._thread.start()

    @property
    def count(self) -> int:
        """Members that are ready."""
        with self._changed:
            return sum(seat.is_ready for seat in self._seats.values())

    @property
    def is_closed(self) -> bool:
        """Whether nobody is to be asked any more."""
        return self._is_closed.is_set()

    @contextmanager
    def least_busy(self) -> Iterator[Any]:
        """Give the actor with the fewest lists; one that is lost meanwhile is given up.

        Raises:
            ClusterError: if no node takes the model.
        """
        seat = self._wait_for_ready()
        try:
            yield seat.actor
        except RayError:
            self._give_up(seat)
            raise
        finally:
            with self._changed:
                seat.num_lists -= 1
                self._changed.notify_all()

    def close(self) -> None:
        """End every actor."""
        self._is_closed.set()
        self._thread.join()
        with self._changed:
            for seat in self._seats.values():
                ray.kill(seat.actor)
            self._seats.clear()
            self._changed.notify_all()

    def _wait_for_ready(self) -> _Seat:
        deadline_s = time.monotonic() + _BEGINS_WITHIN_S
        with self._changed:
            while not (ready := [seat for seat in self._seats.values() if seat.is_ready]):
                if not self._changed.wait(_LOOK_EVERY_S) and self._is_hopeless(deadline_s):
                    raise ClusterError(self._explain())
            seat = min(ready, key=lambda one: one.num_lists)
            seat.num_lists += 1
            return seat

    def _is_hopeless(self, deadline_s: float) -> bool:
        is_late = time.monotonic() > deadline_s
        return is_late or self.is_closed or (not self._seats and bool(self._reasons))

    def _explain(self) -> str:
        told = sorted(set(self._reasons.values())) or ["none has room, or it loads still."]
        return f"No node of the cluster embeds: {'; '.join(told)}"

    def _give_up(self, seat: _Seat) -> None:
        with self._changed:
            for node_id, other in list(self._seats.items()):
                if other is seat:
                    _LOGGER.warning("node %s was lost; its texts go to another", node_id[:8])
                    del self._seats[node_id]

    def _keep_looking(self) -> None:
        while not self._is_closed.wait(_LOOK_EVERY_S):
            try:
                self._look()
                self._welcome()
            except Exception:
                _LOGGER.exception("the cluster could not be looked at")

    def _look(self) -> None:
        """Seat every node that has cores and no member."""
        for node in ray.nodes():
            node_id = node["NodeID"]
            if not node["Alive"] or not node["Resources"].get("CPU") or node_id in self._seats:
                continue
            if node_id in self._reasons:
                continue
            num_starts = self._num_starts.get(node_id, 0)
            if num_starts == _MAX_STARTS:
                self._reasons[node_id] = f"node {node_id[:8]}: its actor ended too often."
                continue
            self._num_starts[node_id] = num_starts + 1
            actor = self._make_member(node)
            with self._changed:
                self._seats[node_id] = _Seat(actor, actor.begin.remote())

    def _welcome(self) -> None:
        """Note who has begun, and let go of who cannot."""
        with self._changed:
            seats = self._seats.items()
            waiting = {seat.beginning: id_ for id_, seat in seats if not seat.is_ready}
        if not waiting:
            return
        done, _ = ray.wait(list(waiting), num_returns=len(waiting), timeout=0)
        for beginning in done:
            seat = self._seats[waiting[beginning]]
            try:
                reason = self._reason_against(ray.get(beginning))
            except RayError:
                self._give_up(seat)
                continue
            with self._changed:
                self._settle(waiting[beginning], seat, reason)
                self._changed.notify_all()

    def _reason_against(self, told: Mapping[str, str] | Refusal) -> str:
        if isinstance(told, Refusal):
            return told.message
        found = differences(self._wanted, told)
        return f"its vectors would differ: {', '.join(found)}." if found else ""

    def _settle(self, node_id: str, seat: _Seat, reason: str) -> None:
        if not reason:
            seat.is_ready = True
            return
        _LOGGER.warning("node %s does not embed: %s", node_id[:8], reason)
        self._reasons[node_id] = f"node {node_id[:8]}: {reason}"
        ray.kill(seat.actor)
        del self._seats[node_id]


def make_member(options: Any, flags: Mapping[str, Any]) -> MakeMember:
    """Say how actors are put on nodes: pinned, with all the cores that Ray knows of there.

    Args:
        options: of the job.
        flags: settings that count on every node.
    """

    def make(node: Mapping[str, Any]) -> Any:
        num_cores = max(1, int(node["Resources"]["CPU"]))
        threads = min(flags.get("threads") or num_cores, num_cores)
        place = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        actor = ray.remote(Member).options(
            num_cpus=node["Resources"]["CPU"],
            max_concurrency=LISTS_AT_ONCE + 1,
            scheduling_strategy=place,
        )
        return actor.remote(options, {**flags, "threads": threads})

    return make
