"""Timing: all contenders' processes live, one works; rounds take them in turn, A B C, A B C."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np

from satsuma.bench.measure import Contender, to_measurement
from satsuma.bench.peers.catalog import REFERENCE, Peer
from satsuma.bench.peers.environments import find_environment
from satsuma.bench.peers.errors import PeerError
from satsuma.bench.peers.figures import Failure, Figures, min_cosine
from satsuma.bench.peers.models import PeerModel
from satsuma.bench.peers.protocol import Options, Vectors
from satsuma.bench.peers.surroundings import child_environ
from satsuma.bench.peers.worker_process import WorkerProcess
from satsuma.bench.peers.workloads import PeerWorkload
from satsuma.bench.workload import workload_flops

_WORKERS = "satsuma.bench.peers.workers"
_SETTLE_S = 0.25  # until the last contender's idle threads have stopped spinning


@dataclass(frozen=True, slots=True)
class Timing:
    """How long to measure.

    Attributes:
        rounds: samples of each contender and workload.
        seconds: a sample repeats its run until this has passed; one run may take longer.
        limit_s: longest answer that is waited for.
        threads: of each contender.
    """

    rounds: int
    seconds: float
    limit_s: float
    threads: int


@dataclass
class Running:
    """A contender whose model is loaded.

    What follows the versions is of the present workload.

    Attributes:
        samples: each round's runs, in seconds.
        vectors: of the first variant.
        cosine: of its worst vector.
        is_in: whether it has not failed.
    """

    peer: Peer
    process: WorkerProcess
    versions: dict[str, str]
    samples: list[list[float]] = field(default_factory=list)
    vectors: Vectors | None = None
    peak_bytes: int | None = None
    cosine: float | None = None
    is_in: bool = True


class Race:
    """All contenders on one model. A context manager, which ends their processes."""

    def __init__(
        self, model: PeerModel, timing: Timing, environments_dir: Path, scratch: Path
    ) -> None:
        """Start with nobody.

        Args:
            model: that everybody loads.
            timing: how long to measure.
            environments_dir: holds the environments.
            scratch: for logs and vectors.
        """
        self.running: list[Running] = []
        self.failures: list[Failure] = []
        self._model, self._timing = model, timing
        self._environments_dir, self._scratch = environments_dir, scratch
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Do nothing yet."""
        return self

    def __exit__(self, *exception: object) -> None:
        """End every process."""
        self._stack.__exit__(*exception)  # type: ignore[arg-type]

    def start(self, peer: Peer) -> None:
        """Start a contender and let it load the model; why it cannot is noted."""
        environ = child_environ(self._timing.threads) | {"TMPDIR": str(self._scratch)}
        log = self._scratch / f"{peer.label.replace(' ', '-')}.log"
        try:
            process = self._stack.enter_context(WorkerProcess(self._command(peer), environ, log))
        except OSError as error:
            self._note(peer, str(error))
            return
        try:
            options = asdict(self._options(peer))
            answer = process.ask({"do": "load", "options": options}, self._timing.limit_s)
        except PeerError as error:
            self._note(peer, str(error))
            process.kill()
            return
        self.running.append(Running(peer, process, answer["versions"]))

    def measure(self, workload: PeerWorkload, on_step: Callable[[str], None]) -> list[Figures]:
        """Warm everybody up on a workload, then time them in turns.

        Args:
            workload: the same texts for everybody.
            on_step: told who is next, once for the warm-up and once a round.
        """
        for one in self.running:
            one.samples, one.vectors, one.cosine, one.is_in = [], None, None, True
        self._take_turns(workload, on_step, partial(self._warm_up, workload))
        for _ in range(self._timing.rounds):
            self._take_turns(workload, on_step, self._sample)
        reference = self._reference_vectors()
        for one in self._still_in():
            self._attempt(one, workload, partial(self._compare, reference))
        return [self._sum_up(one, workload) for one in self._still_in()]

    def _take_turns(
        self,
        workload: PeerWorkload,
        on_step: Callable[[str], None],
        step: Callable[[Running], None],
    ) -> None:
        for one in self._still_in():
            on_step(one.peer.label)
            self._attempt(one, workload, step)

    def _still_in(self) -> list[Running]:
        return [one for one in self.running if one.is_in]

    def _attempt(
        self, one: Running, workload: PeerWorkload, step: Callable[[Running], None]
    ) -> None:
        """Take a step; whoever fails is out of this workload, and of the race if it ended."""
        try:
            step(one)
        except (PeerError, OSError, ValueError) as error:
            self._note(one.peer, str(error), workload.name)
            one.is_in = False
            if not one.process.is_alive:
                self.running.remove(one)

    def _warm_up(self, workload: PeerWorkload, one: Running) -> None:
        """Embed once for the vectors, and if that was short, for a whole sample besides."""
        self._ask(one, {"do": "texts", "variants": workload.variants})
        path = self._scratch / "vectors.npy"
        took_s = self._ask(one, {"do": "vectors", "path": str(path)})["seconds"]
        one.vectors = np.load(path)
        if took_s < self._timing.seconds:
            self._ask(one, {"do": "sample", "seconds": self._timing.seconds})

    def _sample(self, one: Running) -> None:
        time.sleep(_SETTLE_S)
        answer = self._ask(one, {"do": "sample", "seconds": self._timing.seconds})
        one.samples.append(answer["run_seconds"])

    def _compare(self, reference: Vectors | None, one: Running) -> None:
        one.peak_bytes = self._ask(one, {"do": "memory"})["peak_bytes"]
        if reference is not None and one.vectors is not None:
            one.cosine = min_cosine(one.vectors, reference)

    def _reference_vectors(self) -> Vectors | None:
        return next((one.vectors for one in self._still_in() if one.peer == REFERENCE), None)

    def _sum_up(self, one: Running, workload: PeerWorkload) -> Figures:
        flops = workload_flops(self._model.shape, workload.lengths)
        timed = Contender(
            one.peer.name, workload.name, workload.num_tokens, flops, run=lambda _: None
        )
        measured = to_measurement(timed, one.samples)
        return Figures(
            model=self._model.name,
            workload=workload.name,
            contender=one.peer.name,
            precision=one.peer.precision,
            tokens_per_s=measured.tokens_per_s,
            run_ms=measured.run_ms,
            gflops=measured.gflops,
            num_runs=measured.num_runs,
            peak_bytes=one.peak_bytes,
            min_cosine=one.cosine,
        )

    def _ask(self, one: Running, command: Mapping[str, Any]) -> dict[str, Any]:
        return one.process.ask(command, self._timing.limit_s)

    def _note(self, peer: Peer, reason: str, workload: str = "") -> None:
        failure = Failure(self._model.name, peer.name, peer.precision, reason, workload)
        self.failures.append(failure)

    def _command(self, peer: Peer) -> list[str]:
        python = sys.executable
        if peer.environment:
            python = str(find_environment(peer.environment, self._environments_dir).python)
        return [python, "-P", "-m", f"{_WORKERS}.{peer.worker}"]

    def _options(self, peer: Peer) -> Options:
        return Options(
            folder=str(self._model.folder),
            threads=self._timing.threads,
            precision=peer.precision,
            pooling=self._model.pooling,
            max_tokens=self._model.max_tokens,
            variant=peer.variant,
        )
