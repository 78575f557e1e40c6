"""The report as Markdown: what it was taken with, then a table a workload."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from satsuma.bench.measure import Spread
from satsuma.bench.peers.catalog import PEERS, PRECISIONS, REFERENCE
from satsuma.bench.peers.figures import Figures, ModelNote, PeersReport, WorkloadNote
from satsuma.bench.peers.promises import format_promises

_HEADER = (
    "contender",
    "weights",
    "tokens/s (quartiles)",
    "x best peer",
    "of ceiling",
    "ms a run",
    "peak MB",
    "worst cosine",
)
_NO_COSINES = (
    f"No cosines: {REFERENCE.label}, with whose vectors all are compared, has no figures here "
    f"(`--contender {REFERENCE.name}`)."
)
_OURS = frozenset(peer.name for peer in PEERS if peer.is_ours)


def format_report(report: PeersReport, plots: dict[str, str] | None = None) -> str:
    """Lay out everything that the report has.

    Args:
        report: the run.
        plots: where each model's plot lies, as the page should link it.
    """
    parts = [_surroundings(report), _contenders(report)]
    for model in report.models:
        parts.append(_model_heading(model))
        if plots and model.name in plots:
            parts.append(f"![tokens a second on {model.name}]({plots[model.name]})")
        ours = [one for one in report.figures if one.model == model.name]
        parts += filter(None, [format_promises(ours)])
        parts += [
            _workload_section(report, workload)
            for workload in report.workloads
            if workload.model == model.name
        ]
    if report.failures:
        parts.append(_failures(report))
    return "\n\n".join(parts) + "\n"


def _surroundings(report: PeersReport) -> str:
    where, top = report.surroundings, report.ceiling
    versions = ", ".join(f"{name} {version}" for name, version in where.versions.items())
    rates = f"{top.all_threads_gflops:.1f} GFLOP/s on {top.num_threads} threads"
    one = f"{top.one_thread_gflops:.1f} on one: {top.method}"
    lines = (
        f"machine: {where.cpu}, {where.cores} threads for each contender, {where.system}",
        f"date: {where.date}; load before the run: {where.load:.2f}",
        f"ceiling: {rates}, {one}",
        f"satsuma's environment: {versions}",
        f"{report.rounds} rounds, samples of at least {report.seconds:g} s",
    )
    return "\n".join(f"- {line}" for line in lines)


def _contenders(report: PeersReport) -> str:
    rows = ["| contender | weights | what is timed | versions |", "|---|---|---|---|"]
    for one in report.contenders:
        versions = ", ".join(f"{name} {version}" for name, version in one.versions.items())
        rows.append(f"| {one.name} | {one.precision} | {one.method} | {versions} |")
    return "\n".join(rows)


def _model_heading(model: ModelNote) -> str:
    need = f"{model.flops_per_token / 1e6:.1f} MFLOP a token in a text of 128"
    return f"### {model.name}, {model.weights}, {model.pooling} pooling: {need}"


def _workload_section(report: PeersReport, workload: WorkloadNote) -> str:
    limit = report.ceiling.all_threads_gflops * 1e9 / workload.flops_per_token
    heading = (
        f"**{workload.name}**: {workload.about}; {workload.num_tokens:,} tokens, at most "
        f"{limit:,.0f} tokens/s in fp32"
    )
    figures = [
        one
        for one in report.figures
        if (one.model, one.workload) == (workload.model, workload.name)
    ]
    table = format_table(figures, report.ceiling.all_threads_gflops)
    notes = [] if any(one.min_cosine is not None for one in figures) else [_NO_COSINES]
    return "\n\n".join([heading, table, *notes])


def format_table(figures: Sequence[Figures], ceiling_gflops: float) -> str:
    """Lay out one workload: fp32 first, the fastest first."""
    lines = ["| " + " | ".join(_HEADER) + " |", "|---|---|" + "---:|" * (len(_HEADER) - 2)]
    for precision in PRECISIONS:
        chosen = [one for one in figures if one.precision == precision]
        chosen.sort(key=lambda one: -one.tokens_per_s.median)
        best = best_peer(chosen)
        lines += ["| " + " | ".join(_row(one, best, ceiling_gflops)) + " |" for one in chosen]
    return "\n".join(lines)


def best_peer(figures: Sequence[Figures]) -> float | None:
    """Find the rate of the fastest contender that is not satsuma."""
    rates = [one.tokens_per_s.median for one in figures if one.contender not in _OURS]
    return max(rates, default=None)


def _row(one: Figures, best: float | None, ceiling_gflops: float) -> Iterator[str]:
    name = f"**{one.contender}**" if one.contender in _OURS else one.contender
    yield name
    yield one.precision
    yield f"{one.tokens_per_s.median:,.0f} ({_quartiles(one.tokens_per_s)})"
    yield "" if best is None else f"{one.tokens_per_s.median / best:.2f}"
    yield f"{one.gflops / ceiling_gflops:.0%}"
    yield f"{one.run_ms.median:,.1f}"
    yield "" if one.peak_bytes is None else f"{one.peak_bytes / 1e6:,.0f}"
    yield "" if one.min_cosine is None else f"{one.min_cosine:.6f}"


def _quartiles(spread: Spread) -> str:
    return f"{spread.lower_quartile:,.0f} to {spread.upper_quartile:,.0f}"


def _failures(report: PeersReport) -> str:
    lines = ["### Without figures", ""]
    for one in report.failures:
        where = f"{one.model}, {one.workload}" if one.workload else one.model
        reason = one.reason.replace("|", "\\|")
        lines.append(f"- {one.contender} {one.precision} ({where}): {reason}")
    return "\n".join(lines)
