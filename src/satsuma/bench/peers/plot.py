"""A model's figures as SVG: a panel a workload, a bar a contender, and the ceiling as a line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape

from satsuma.bench.peers.catalog import NAMES, PEERS
from satsuma.bench.peers.figures import Figures, PeersReport, WorkloadNote

_COLUMNS = 2
_PANEL_WIDTH, _ROW_HEIGHT = 520, 16
_LABEL_WIDTH, _NUMBER_WIDTH = 215, 60
_HEAD_HEIGHT, _GAP = 40, 24
_OURS = frozenset(peer.name for peer in PEERS if peer.is_ours)

# Plain colours that stand out from white and from black alike.
_STYLE = """
text { font: 11px sans-serif; fill: #24292f; }
.title { font-weight: bold; font-size: 13px; }
.number { font-size: 10px; }
.ours { fill: #e8710a; }
.peer { fill: #6e7f94; }
.int8 { fill-opacity: 0.55; }
.spread { stroke: #24292f; stroke-width: 1; }
.ceiling { stroke: #d1242f; stroke-width: 1.5; stroke-dasharray: 4 3; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .spread { stroke: #e6edf3; }
  .ceiling { stroke: #ff7b72; }
}
"""


def draw_model(report: PeersReport, model: str) -> str:
    """Draw all workloads of a model.

    The ceiling is fp32's; int8 may pass it.
    """
    workloads = [one for one in report.workloads if one.model == model]
    panels = [(one, _figures_of(report, one)) for one in workloads]
    height = max((_panel_height(figures) for _, figures in panels), default=0)
    num_rows = -(-len(panels) // _COLUMNS)
    size = (_COLUMNS * (_PANEL_WIDTH + _GAP), num_rows * (height + _GAP) + _GAP)
    lines = (
        _opening(*size),
        f"<title>{escape(model)}: tokens a second</title>",
        f"<style>{_STYLE}</style>",
        *(_place(report, panel, index, height) for index, panel in enumerate(panels)),
        "</svg>\n",
    )
    return "\n".join(lines)


def _opening(width: int, height: int) -> str:
    box = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {box} role="img">'


def _figures_of(report: PeersReport, workload: WorkloadNote) -> list[Figures]:
    """Keep the catalog's order, so that a contender stands in the same row of every panel."""
    chosen = [
        one
        for one in report.figures
        if (one.model, one.workload) == (workload.model, workload.name)
    ]
    return sorted(chosen, key=lambda one: (one.precision, NAMES.index(one.contender)))


def _panel_height(figures: Sequence[Figures]) -> int:
    return _HEAD_HEIGHT + len(figures) * _ROW_HEIGHT


def _place(
    report: PeersReport, panel: tuple[WorkloadNote, Sequence[Figures]], index: int, height: int
) -> str:
    x = _GAP // 2 + (index % _COLUMNS) * (_PANEL_WIDTH + _GAP)
    y = _GAP + (index // _COLUMNS) * (height + _GAP)
    ceiling = report.ceiling.all_threads_gflops * 1e9 / panel[0].flops_per_token
    body = "\n".join(_panel(*panel, ceiling))
    return f'<g transform="translate({x} {y})">\n{body}\n</g>'


def _panel(workload: WorkloadNote, figures: Sequence[Figures], ceiling: float) -> Iterator[str]:
    fastest = max((one.tokens_per_s.upper_quartile for one in figures), default=0.0)
    scale = (_PANEL_WIDTH - _LABEL_WIDTH - _NUMBER_WIDTH) / max(fastest, ceiling)
    title = f"{workload.name}: tokens/s; dashed: fp32 ceiling, {ceiling:,.0f}"
    yield f'<text class="title" x="0" y="12">{escape(title)}</text>'
    for row, one in enumerate(figures):
        yield from _bar(one, _HEAD_HEIGHT - 14 + row * _ROW_HEIGHT, scale)
    x = _LABEL_WIDTH + ceiling * scale
    top, bottom = _HEAD_HEIGHT - 18, _panel_height(figures) - 12
    yield f'<line class="ceiling" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}"/>'


def _bar(one: Figures, y: int, scale: float) -> Iterator[str]:
    kind = f"{'ours' if one.contender in _OURS else 'peer'} {one.precision}"
    rates = one.tokens_per_s
    width, middle = rates.median * scale, y + _ROW_HEIGHT / 2 - 1
    left, right = (
        _LABEL_WIDTH + rate * scale for rate in (rates.lower_quartile, rates.upper_quartile)
    )
    label = escape(f"{one.contender} {one.precision}")
    yield f'<text x="{_LABEL_WIDTH - 6}" y="{y + 11}" text-anchor="end">{label}</text>'
    yield (
        f'<rect class="{kind}" x="{_LABEL_WIDTH}" y="{y + 1}" width="{width:.1f}" '
        f'height="{_ROW_HEIGHT - 4}"/>'
    )
    yield (
        f'<line class="spread" x1="{left:.1f}" x2="{right:.1f}" y1="{middle:.1f}" '
        f'y2="{middle:.1f}"/>'
    )
    x = max(right, _LABEL_WIDTH + width) + 4
    yield f'<text class="number" x="{x:.1f}" y="{y + 11}">{rates.median:,.0f}</text>'
