"""What became of a load's requests -> percentiles, rates, and whether to trust them. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from satsuma.columns import align

PERCENTILES = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p99.9": 99.9, "max": 100.0}

UNSENT = "unsent"

# The generator's own lateness may be so much of a latency before the figures are in doubt.
_MAX_LAG_SHARE = 0.1
_MAX_LAG_MS = 1.0
_MIN_REQUESTS = 101  # of fewer, the 99th percentile is the slowest


@dataclass(frozen=True, slots=True)
class Sample:
    """One request.

    Attributes:
        latency_s: from the moment at which it was meant to be sent, to its answer's last byte.
        lag_s: how late a free connection sent it; the generator's own fault.
        status: of HTTP, or the name of what went wrong.
        num_tokens: as the server counted them.
        message: why it was refused, in the server's words.
    """

    latency_s: float
    lag_s: float
    status: str
    num_tokens: int
    message: str = ""

    @property
    def is_good(self) -> bool:
        """Whether it was answered with vectors."""
        return self.status == "200"


@dataclass(frozen=True, slots=True)
class Figures:
    """One phase, summed up.

    Attributes:
        name: what was done.
        offered_per_s: requests a second that were meant to be sent; None in a closed loop.
        requests_per_s: those that were answered.
        tokens_per_s: of those.
        latency_ms: by `PERCENTILES`, of those; the others, `num_left_out`, may have waited longer.
        errors: by status, how many were not answered; `unsent` never left.
        num_requests: all of them.
        lag_ms: 99th percentile of the generator's lateness.
        messages: of each error's status, what the first one said.
    """

    name: str
    offered_per_s: float | None
    requests_per_s: float
    tokens_per_s: float
    latency_ms: dict[str, float]
    errors: dict[str, int]
    num_requests: int
    lag_ms: float
    messages: Mapping[str, str] = field(default_factory=dict)

    @property
    def num_left_out(self) -> int:
        """How many requests the percentiles leave out: those without vectors."""
        return sum(self.errors.values())

    @property
    def is_broken(self) -> bool:
        """Whether the server was not there for all of it; a refusal is an answer."""
        return any(not status.isdigit() and status != UNSENT for status in self.errors)

    @property
    def is_trustworthy(self) -> bool:
        """Whether the generator kept up: its lateness is part of each latency."""
        return self.lag_ms <= max(_MAX_LAG_MS, _MAX_LAG_SHARE * self.latency_ms.get("p99", 0.0))

    def meets(self, slo_ms: float) -> bool:
        """Tell whether all was answered, and in time; what had to wait is late."""
        return not self.errors and self.latency_ms.get("p99", np.inf) <= slo_ms

    def to_json(self) -> dict[str, Any]:
        """Give everything as JSON has it."""
        more = {"num_left_out": self.num_left_out, "is_trustworthy": self.is_trustworthy}
        return {**asdict(self), **more}


def summarise(
    name: str,
    samples: Sequence[Sample],
    *,
    took_s: float,
    offered_per_s: float | None = None,
    num_unsent: int = 0,
) -> Figures:
    """Sum a phase up.

    Args:
        name: what was done.
        samples: its requests, without those of the warm-up.
        took_s: from its beginning to its last answer.
        offered_per_s: what an open loop was meant to send.
        num_unsent: requests that no connection was free for in time.
    """
    good = [sample for sample in samples if sample.is_good]
    errors = Counter(sample.status for sample in samples if not sample.is_good)
    if num_unsent:
        errors[UNSENT] = num_unsent
    return Figures(
        name=name,
        offered_per_s=offered_per_s,
        requests_per_s=len(good) / took_s,
        tokens_per_s=sum(sample.num_tokens for sample in good) / took_s,
        latency_ms=percentiles_ms([sample.latency_s for sample in good]),
        errors=dict(errors),
        num_requests=len(samples) + num_unsent,
        lag_ms=percentiles_ms([sample.lag_s for sample in samples]).get("p99", 0.0),
        messages={one.status: one.message for one in reversed(samples) if one.message},
    )


def percentiles_ms(seconds: Sequence[float]) -> dict[str, float]:
    """Give each of `PERCENTILES`, a value that was seen and not one between; empty without any."""
    if not seconds:
        return {}
    values = np.percentile(np.array(seconds), list(PERCENTILES.values()), method="higher")
    return dict(zip(PERCENTILES, (1e3 * float(value) for value in values), strict=True))


def format_table(phases: Sequence[Figures]) -> str:
    """Lay the phases out, a line each."""
    percentiles = [f"{name} ms" for name in PERCENTILES]
    heads = ["", *percentiles, "of these", "requests/s", "tokens/s", "errors"]
    return align([heads, *map(_columns, phases)], num_left=1)


def _columns(phase: Figures) -> list[str]:
    latencies = [
        f"{phase.latency_ms[name]:.1f}" if phase.latency_ms else "-" for name in PERCENTILES
    ]
    num_answered = phase.num_requests - phase.num_left_out
    answered = f"{num_answered:,} of {phase.num_requests:,}"
    rates = [f"{phase.requests_per_s:.1f}", f"{phase.tokens_per_s:.0f}"]
    return [phase.name, *latencies, answered, *rates, _list_errors(phase) or "none"]


def _list_errors(phase: Figures) -> str:
    return ", ".join(f"{count} x {status}" for status, count in sorted(phase.errors.items()))


def warnings(phases: Sequence[Figures]) -> list[str]:
    """Say what keeps the figures from being trusted."""
    says = [
        f"{phase.name}: the first {status} said: {message}"
        for phase in phases
        for status, message in phase.messages.items()
    ]
    says += filter(None, map(_say_what_is_missing, phases))
    phases = [phase for phase in phases if phase.offered_per_s]
    late = max((phase for phase in phases if not phase.is_trustworthy), key=_lag_ms, default=None)
    fewest = min((phase.num_requests for phase in phases), default=_MIN_REQUESTS)
    if late is not None:
        says.append(
            f"The load generator itself was up to {late.lag_ms:.1f} ms late (p99, {late.name}): "
            "run it on another machine, or at a lower rate."
        )
    if fewest < _MIN_REQUESTS:
        says.append(f"A phase of {fewest} requests is short for a p99: give it more --duration.")
    return says


def _say_what_is_missing(phase: Figures) -> str:
    """Say what the percentiles leave out, or why there are none; empty if they are of all."""
    if not phase.errors.keys() - {UNSENT} and not phase.latency_ms:
        return f"{phase.name}: nothing was answered in time. Give more --duration."
    if not phase.latency_ms:
        return f"{phase.name}: no request was answered with vectors: {_list_errors(phase)}."
    if not phase.errors:
        return ""
    return (
        f"{phase.name}: the percentiles leave out {phase.num_left_out:,} of "
        f"{phase.num_requests:,} requests, which got no vectors: {_list_errors(phase)}."
    )


def _lag_ms(phase: Figures) -> float:
    return phase.lag_ms
