"""Before anything is timed: environments and converted weights, each made once.

What cannot be had is a `Failure` of the contenders that need it, never the end of the run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from satsuma.bench.peers.catalog import CONVERTERS, Peer
from satsuma.bench.peers.conversions import Conversion, convert
from satsuma.bench.peers.environments import Environment, find_environment, install
from satsuma.bench.peers.errors import PeerError
from satsuma.bench.peers.figures import Failure
from satsuma.bench.peers.models import PeerModel

Announce = Callable[[str], None]


@dataclass
class Setup:
    """Makes what contenders need, and remembers what failed.

    Attributes:
        environments_dir: holds the environments.
        threads: for converters.
        announce: told what is about to take long.
        may_install: whether missing environments are made.
    """

    environments_dir: Path
    threads: int
    announce: Announce
    may_install: bool = True
    _failed: dict[str, PeerError] = field(default_factory=dict)

    def prepare(self, peers: Sequence[Peer], model: PeerModel) -> tuple[list[Peer], list[Failure]]:
        """Prepare every contender for a model.

        Returns:
            Those that are ready, and why the others are not.
        """
        ready, failures = [], []
        for peer in peers:
            try:
                self._prepare_one(peer, model)
                ready.append(peer)
            except PeerError as error:
                failures.append(Failure(model.name, peer.name, peer.precision, str(error)))
        return ready, failures

    def environment(self, name: str) -> Environment:
        """Describe an environment by its name."""
        return find_environment(name, self.environments_dir)

    def _prepare_one(self, peer: Peer, model: PeerModel) -> None:
        if peer.environment:
            self._install(self.environment(peer.environment))
        for precision in peer.conversions:
            environment = self.environment(CONVERTERS[peer.format])
            self._install(environment)
            self._convert(Conversion(peer.format, precision, environment, model.folder))

    def _install(self, environment: Environment) -> None:
        if environment.is_current:
            return
        if not self.may_install:
            raise PeerError(f"not installed: {environment.name} is not set up")
        self._once(
            f"installing {environment.name} in {environment.folder}",
            lambda: install(environment),
        )

    def _convert(self, conversion: Conversion) -> None:
        if conversion.is_current:
            return
        self._once(
            f"converting {conversion.folder.name} to {conversion.name} {conversion.precision}",
            lambda: convert(conversion, self.threads),
        )

    def _once(self, what: str, make: Callable[[], None]) -> None:
        """Try a step once in a run; others who need it get the same failure."""
        if what in self._failed:
            raise PeerError(str(self._failed[what]))
        self.announce(what)
        try:
            make()
        except PeerError as error:
            self._failed[what] = error
            raise
