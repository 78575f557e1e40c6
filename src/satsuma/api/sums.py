"""What several processes of one server have counted, as if one had.

What grows is added up: counters and histograms. Of all else, such as the memory that is resident,
the collecting process tells its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, TypeAlias

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

GROWING: Final = ("counter", "histogram")
_SINCE: Final = "_created"  # a sample that is a time; the earliest counts
_Key: TypeAlias = tuple[str, tuple[tuple[str, str], ...]]


class Sums(Collector):
    """One process's metrics, with what others have counted added to them."""

    def __init__(self, own: Collector, others: Sequence[Metric]) -> None:
        """Add `others` to whatever `own` tells at a scrape."""
        self._own = own
        self._others = others

    def collect(self) -> Iterator[Metric]:
        """Give the sums."""
        yield from add_up(self._own.collect(), self._others)


def add_up(*sources: Iterable[Metric]) -> list[Metric]:
    """Add up metrics of the same name and labels, in the order in which they first come.

    Returns:
        New ones. Of those that do not grow, the first of each name.
    """
    by_name: dict[str, list[Metric]] = {}
    for metric in (one for source in sources for one in source):
        by_name.setdefault(metric.name, []).append(metric)
    return [_add(same) for same in by_name.values()]


def _add(same: Sequence[Metric]) -> Metric:
    first = same[0]
    if first.type not in GROWING:
        return first
    samples: dict[_Key, Sample] = {}
    for sample in (one for metric in same for one in metric.samples):
        key = (sample.name, tuple(sorted(sample.labels.items())))
        known = samples.get(key)
        samples[key] = sample if known is None else _join(known, sample)
    total = Metric(first.name, first.documentation, first.type, first.unit)
    total.samples = _in_groups(samples.values())
    return total


def _join(one: Sample, other: Sample) -> Sample:
    join = min if one.name.endswith(_SINCE) else sum
    return Sample(one.name, one.labels, join((one.value, other.value)))


def _in_groups(samples: Iterable[Sample]) -> list[Sample]:
    """Put the samples of the same labels side by side, as the text's format wants them."""
    groups: dict[tuple[tuple[str, str], ...], list[Sample]] = {}
    for sample in samples:
        labels = tuple((name, value) for name, value in sample.labels.items() if name != "le")
        groups.setdefault(labels, []).append(sample)
    return [sample for group in groups.values() for sample in group]
