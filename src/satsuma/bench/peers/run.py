"""One whole run: set up, measure the ceiling, race on each model, and the ceiling again."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from tqdm import tqdm  # type: ignore[import-untyped]

from satsuma.bench.ceiling import higher, measure_ceiling
from satsuma.bench.peers.catalog import REFERENCE, Peer
from satsuma.bench.peers.figures import (
    ContenderNote,
    Failure,
    Figures,
    ModelNote,
    PeersReport,
    WorkloadNote,
)
from satsuma.bench.peers.models import PeerModel, prepare_model
from satsuma.bench.peers.rounds import Race, Timing
from satsuma.bench.peers.setup import Setup
from satsuma.bench.peers.workloads import PeerWorkload, build_workload, read_stsb
from satsuma.bench.report import describe_surroundings
from satsuma.bench.workload import text_flops, workload_flops
from satsuma.engine.tokenizer import Tokenizer

_LENGTH_OF_HEADING = 128

_Prepared: TypeAlias = tuple[PeerModel, list[Peer], list[Failure]]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure.

    Attributes:
        stsb: stsbenchmark.tsv.gz; None makes texts of its lengths.
        models_dir: keeps the models and their other formats for the next run.
    """

    peers: Sequence[Peer]
    models: Sequence[str]
    workloads: Sequence[str]
    timing: Timing
    models_dir: Path
    stsb: Path | None
    prepare: Callable[[Path, str], PeerModel] = prepare_model


@dataclass
class Notes:
    """What a run gathers on its way to a report."""

    models: list[ModelNote] = field(default_factory=list)
    workloads: list[WorkloadNote] = field(default_factory=list)
    contenders: dict[str, ContenderNote] = field(default_factory=dict)
    figures: list[Figures] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)


def prepare_all(plan: Plan, setup: Setup) -> list[_Prepared]:
    """Make every folder, environment and format before anything is timed.

    Raises:
        PeerError: if STS-B's file cannot be read; that is looked at first.
    """
    if plan.stsb is not None and "stsb" in plan.workloads:
        read_stsb(plan.stsb)
    prepared = []
    for name in plan.models:
        setup.announce(f"preparing {name} in {plan.models_dir}")
        model = plan.prepare(plan.models_dir, name)
        prepared.append((model, *setup.prepare(plan.peers, model)))
    return prepared


def run(plan: Plan, setup: Setup) -> PeersReport:
    """Measure what the plan says; once interrupted, report what was measured until then.

    Raises:
        KeyboardInterrupt: if that is nothing.
    """
    notes = Notes()
    if REFERENCE not in plan.peers:
        setup.announce(f"there will be no cosines: {REFERENCE.label} is no contender")
    prepared = prepare_all(plan, setup)
    where = describe_surroundings(plan.timing.threads)
    setup.announce("measuring the ceiling")
    before = measure_ceiling(plan.timing.threads)
    _race_all(plan, setup, prepared, notes)
    setup.announce("measuring the ceiling again")
    return PeersReport(
        surroundings=where,
        ceiling=higher(before, measure_ceiling(plan.timing.threads)),
        rounds=plan.timing.rounds,
        seconds=plan.timing.seconds,
        models=notes.models,
        workloads=notes.workloads,
        contenders=list(notes.contenders.values()),
        figures=notes.figures,
        failures=notes.failures,
    )


def _race_all(plan: Plan, setup: Setup, prepared: Iterable[_Prepared], notes: Notes) -> None:
    """Race on each model, until somebody has seen enough."""
    try:
        for model, peers, failures in prepared:
            notes.failures += failures
            notes.models.append(_note_model(model))
            _race(plan, setup, model, peers, notes)
    except KeyboardInterrupt:
        if not notes.figures:
            raise
        setup.announce("interrupted: what was measured until now follows")


def _race(plan: Plan, setup: Setup, model: PeerModel, peers: Sequence[Peer], notes: Notes) -> None:
    """Start all contenders on a model, and time each workload."""
    workloads = _build_workloads(plan, model)
    with (
        tempfile.TemporaryDirectory() as scratch,
        Race(model, plan.timing, setup.environments_dir, Path(scratch)) as race,
    ):
        for peer in peers:
            setup.announce(f"{model.name}: loading into {peer.label}")
            race.start(peer)
        for one in race.running:
            note = ContenderNote(one.peer.name, one.peer.precision, one.peer.method, one.versions)
            notes.contenders.setdefault(one.peer.label, note)
        try:
            _measure_all(race, model, workloads, plan.timing.rounds, notes)
        finally:  # an interrupted run tells them too
            notes.failures += race.failures


def _measure_all(
    race: Race, model: PeerModel, workloads: Sequence[PeerWorkload], rounds: int, notes: Notes
) -> None:
    num_steps = len(workloads) * len(race.running) * (1 + rounds)
    with tqdm(total=num_steps, desc=model.name, unit="turn") as progress:
        for workload in workloads:
            notes.figures += race.measure(workload, partial(_show, progress, workload.name))
            notes.workloads.append(_note_workload(model, workload))


def _show(progress: Any, workload: str, label: str) -> None:
    progress.set_postfix_str(f"{workload}, {label}")
    progress.update()


def _build_workloads(plan: Plan, model: PeerModel) -> list[PeerWorkload]:
    tokenizer = Tokenizer(model.folder / "tokenizer.json", model.max_tokens)

    def count_tokens(texts: Sequence[str]) -> list[int]:
        return [len(tokens) for tokens in tokenizer.tokenize(texts)]

    return [
        build_workload(name, model.max_tokens, plan.stsb, count_tokens) for name in plan.workloads
    ]


def _note_model(model: PeerModel) -> ModelNote:
    flops = text_flops(model.shape, _LENGTH_OF_HEADING) / _LENGTH_OF_HEADING
    return ModelNote(model.name, model.weights, model.pooling, model.max_tokens, flops)


def _note_workload(model: PeerModel, workload: PeerWorkload) -> WorkloadNote:
    return WorkloadNote(
        model=model.name,
        name=workload.name,
        about=workload.about,
        num_texts=len(workload.lengths),
        num_tokens=workload.num_tokens,
        flops_per_token=workload_flops(model.shape, workload.lengths) / workload.num_tokens,
    )
