"""What satsuma promises against other libraries, held against one run's figures. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from satsuma.bench.measure import Spread
from satsuma.bench.peers.catalog import FP32, INT8, PEERS
from satsuma.bench.peers.figures import Figures

_OURS = "satsuma"


@dataclass(frozen=True, slots=True)
class Promise:
    """A rate in this process, as a multiple of the best rival's in the same precision.

    Attributes:
        workload: by its name.
        precision: of satsuma and of its rivals.
        at_least: times the best rival.
        who_pads: whether only those count that compute padding.
    """

    workload: str
    precision: str
    at_least: float
    who_pads: bool = False

    @property
    def rivals(self) -> frozenset[str]:
        """Contenders that count."""
        return frozenset(
            peer.name
            for peer in PEERS
            if peer.precision == self.precision
            and not peer.is_ours
            and (peer.pads or not self.who_pads)
        )


PROMISES = (
    Promise("mixed", FP32, 1.9, who_pads=True),
    Promise("mixed", FP32, 1.4),
    Promise("mixed", INT8, 1.9),
    Promise("32x128", FP32, 1.1),
    Promise("32x128", INT8, 1.1),
    Promise("1x10", FP32, 1.15),
    Promise("1x10", INT8, 1.15),
)


@dataclass(frozen=True, slots=True)
class Held:
    """A promise and what a run says of it.

    Attributes:
        ratio: satsuma's rate over the rival's median.
        rival: the fastest contender that counts.
        present: all that count and have figures.
    """

    promise: Promise
    ratio: Spread
    rival: str
    present: frozenset[str]

    @property
    def is_kept(self) -> bool:
        """Whether the median is enough."""
        return self.ratio.median >= self.promise.at_least

    @property
    def is_partial(self) -> bool:
        """Whether somebody is missing who might have been faster."""
        return self.present != self.promise.rivals


def hold_promises(figures: Sequence[Figures]) -> Iterator[Held]:
    """Hold what is promised against one model's figures; what was not measured is left out."""
    for promise in PROMISES:
        chosen = [
            one
            for one in figures
            if (one.workload, one.precision) == (promise.workload, promise.precision)
        ]
        ours = next((one for one in chosen if one.contender == _OURS), None)
        rivals = [one for one in chosen if one.contender in promise.rivals]
        if ours is not None and rivals:
            best = max(rivals, key=lambda one: one.tokens_per_s.median)
            ratio = ours.tokens_per_s.divided(best.tokens_per_s.median)
            yield Held(promise, ratio, best.contender, frozenset(one.contender for one in rivals))


def format_promises(figures: Sequence[Figures]) -> str:
    """Lay out a line a promise as Markdown; empty if nothing was measured that one is about."""
    rows = [_row(held) for held in hold_promises(figures)]
    if not rows:
        return ""
    head = "| promised | against | at least | here (quartiles) | the best of them | |"
    return "\n".join([head, "|---|---|---:|---:|---|---|", *rows])


def _row(held: Held) -> str:
    promise, ratio = held.promise, held.ratio
    marks = {"missed": not held.is_kept, "partial": held.is_partial}
    cells = (
        f"{promise.workload}, {promise.precision}",
        _name_rivals(held),
        f"{promise.at_least:.2f}",
        f"{ratio.median:.2f} ({ratio.lower_quartile:.2f} to {ratio.upper_quartile:.2f})",
        held.rival,
        ", ".join(mark for mark, is_so in marks.items() if is_so),
    )
    return "| " + " | ".join(cells) + " |"


def _name_rivals(held: Held) -> str:
    """Say whom satsuma was held against; by their names, unless nobody is missing."""
    group = "those that pad" if held.promise.who_pads else "all others"
    if not held.is_partial:
        return group
    names = ", ".join(sorted(held.present))
    return f"{names} ({len(held.present)} of {len(held.promise.rivals)}, {group})"
