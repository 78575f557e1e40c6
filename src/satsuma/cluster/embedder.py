"""`satsuma embed --ray`: the texts of windows go to the cluster, their vectors come back.

The driver reads, cuts, keeps the parts and the state, exactly as on one machine; only who embeds
differs. So order, resume and bytes are the same by construction (decision 14).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, Self

import ray
from ray.exceptions import NodeDiedError, ObjectLostError, RayActorError

from satsuma import __version__
from satsuma.bulk.options import JobOptions
from satsuma.bulk.plan import Model
from satsuma.cluster.connection import connected
from satsuma.cluster.members import LISTS_AT_ONCE, Members, make_member
from satsuma.errors import EngineDiedError, ShuttingDownError
from satsuma.outcomes import Refusal
from satsuma.types import EmbedResult

_LOST = (RayActorError, ObjectLostError, NodeDiedError)
_MAX_LOST = 8  # nodes that one list of texts may outlive
_MAX_CALLS = 1024  # threads that wait for a member each; made when they are needed


class ClusterEmbedder:
    """The nodes of a cluster, as an `Embedder`."""

    def __init__(
        self, options: JobOptions, model: Model, flags: Mapping[str, Any], address: str
    ) -> None:
        """Connect, and put an actor on every node.

        Args:
            options: of the job.
            model: as the driver found it; nodes that have another are left out.
            flags: settings that count on every node.
            address: of the cluster.

        Raises:
            ClusterError: if there is no such cluster.
        """
        self._resources = ExitStack()
        self._resources.enter_context(connected(address))
        wanted = {**model.to_json(), "satsuma": __version__}
        self._members = Members(make_member(options, flags), wanted)
        self._calls = ThreadPoolExecutor(_MAX_CALLS, "satsuma-cluster-call")

    @property
    def num_lists(self) -> int:
        """How many lists keep the members busy; grows and shrinks with the cluster."""
        return LISTS_AT_ONCE * max(1, self._members.count)

    def submit(self, texts: Sequence[str]) -> Future[EmbedResult]:
        """Embed texts on whichever node is free; see `Embedder`."""
        return self._calls.submit(self._embed, tuple(texts))

    def close(self) -> None:
        """Give up what waits and runs, end the actors, and leave the cluster."""
        self._calls.shutdown(wait=False, cancel_futures=True)
        self._members.close()
        self._calls.shutdown(wait=True)
        self._resources.close()

    def _embed(self, texts: tuple[str, ...]) -> EmbedResult:
        """Ask until somebody answers: texts that a lost node held go to another."""
        for _ in range(_MAX_LOST):
            try:
                with self._members.least_busy() as member:
                    outcome: EmbedResult | Refusal = ray.get(member.embed.remote(texts))
            except _LOST as error:
                if self._members.is_closed:
                    raise ShuttingDownError("The job was ended.") from error
                continue
            if isinstance(outcome, Refusal):
                raise outcome.to_error()
            return outcome
        raise EngineDiedError(f"{_MAX_LOST} nodes were lost with the same texts.")

    def __enter__(self) -> Self:
        """Use as a context manager, which closes at the end."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()
