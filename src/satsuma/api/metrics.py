"""What a server counts: every name, unit, label and bucket, declared here and nowhere else.

All of them are there at the first scrape, at zero. Knows no route and no queue: others note what
happens, and `state` is asked for what only a scrape wants to know.

Source: https://prometheus.io/docs/practices/naming/
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    GCCollector,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from satsuma import __version__
from satsuma.api.sums import GROWING, Sums
from satsuma.background import run_in_background
from satsuma.types import EmbedResult

ROUTES: Final = ("run", "binding", "openai", "catalog", "playground", "operations", "other")
LANES: Final = ("lane", "express")

_SECONDS: Final = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
_TOKENS: Final = (8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 8192.0)


@dataclass(frozen=True, slots=True)
class State:
    """What is so at one moment.

    Attributes:
        waiting_tokens: admitted and not done.
        model_bytes: memory of each loaded model.
        jobs: of the asynchronous queue, by state.
    """

    waiting_tokens: int = 0
    model_bytes: Mapping[str, int] = field(default_factory=dict)
    jobs: Mapping[str, int] = field(default_factory=dict)


class Metrics:
    """Counts, and writes the counts down for Prometheus. Thread-safe."""

    def __init__(self, state: Callable[[], State] = State) -> None:
        """Start at zero.

        Args:
            state: looks at what is so; called at each scrape.
        """
        self._registry = registry = CollectorRegistry()
        self._requests = _RequestMetrics(registry)
        models = _ModelMetrics(registry)
        lanes = _LaneMetrics(registry)
        Info("satsuma_build", "This server.", registry=registry).info({"version": __version__})
        registry.register(_StateCollector(state))
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        self._of_model = cache(models.of)  # finding a label takes longer than counting
        self._of_lane = tuple(map(lanes.of, LANES))

    def note_request(self, route: str, model: str, status: int, seconds: float) -> None:
        """Count a request.

        Args:
            route: one of `ROUTES`.
            model: canonical id; empty where none was found.
            status: of the answer.
            seconds: until its end.
        """
        self._requests.note(route, model, status, seconds)

    def note_result(self, model: str, result: EmbedResult) -> None:
        """Count what was embedded, and where its time went."""
        counts = self._of_model(model)
        counts.texts.inc(len(result.vectors))
        counts.tokens.inc(result.usage.prompt_tokens)
        counts.truncated.inc(result.num_truncated)
        counts.queue_seconds.observe(result.timings.queue_s)
        counts.inference_seconds.observe(result.timings.inference_s)

    def note_microbatch(self, num_tokens: int, engine_s: float, *, is_express: bool) -> None:
        """Count a microbatch that was run."""
        counts = self._of_lane[is_express]
        counts.microbatch_tokens.observe(num_tokens)
        counts.engine_seconds.inc(engine_s)

    def note_model(self, model: str) -> None:
        """Let a model's counts be there before its first request."""
        self._requests.expect("run", model, 200)
        self._of_model(model)

    def write(self, accept: str, others: Sequence[Metric] = ()) -> tuple[bytes, str]:
        """Give the text of a scrape.

        Args:
            accept: the scraper's header; it chooses between Prometheus's form and OpenMetrics.
            others: what other processes of this server have counted.

        Returns:
            The text and its media type.
        """
        encode, media_type = choose_encoder(accept)
        return encode(Sums(self._registry, others) if others else self._registry), media_type

    async def scrape(self, accept: str) -> tuple[bytes, str]:
        """Give what `write` gives, from an event loop."""
        return await run_in_background(lambda: self.write(accept))

    def counted(self) -> list[Metric]:
        """Give what only ever grows, for another process to add up."""
        return [one for one in self._registry.collect() if one.type in GROWING]

    def describe(self) -> Iterator[Described]:
        """Describe every metric of ours."""
        for family in self._registry.collect():
            if family.name.startswith("satsuma_"):
                suffix = {"counter": "_total", "info": "_info"}.get(family.type, "")
                labels = {name: None for sample in family.samples for name in sample.labels}
                labels.pop("le", None)  # a histogram's buckets
                yield Described(
                    family.name + suffix, family.type, tuple(labels), family.documentation
                )


class _RequestMetrics:
    """What is counted of HTTP requests."""

    def __init__(self, registry: CollectorRegistry) -> None:
        requests = Counter(
            "satsuma_requests",
            "HTTP requests answered; 499 is a client that left before.",
            ("route", "model", "status"),
            registry=registry,
        )
        seconds = Histogram(
            "satsuma_request_seconds",
            "From a request's head to its answer's end.",
            ("route",),
            buckets=_SECONDS,
            registry=registry,
        )
        self._requests = cache(requests.labels)
        self._seconds = cache(seconds.labels)
        for route in ROUTES:
            self._seconds(route)

    def note(self, route: str, model: str, status: int, seconds: float) -> None:
        self._requests(route, model, str(status)).inc()
        self._seconds(route).observe(seconds)

    def expect(self, route: str, model: str, status: int) -> None:
        """Let a count be there before the first of its requests."""
        self._requests(route, model, str(status))


@dataclass(frozen=True, slots=True)
class _ModelCounts:
    """The metrics of one model, looked up once."""

    texts: Counter
    tokens: Counter
    truncated: Counter
    queue_seconds: Histogram
    inference_seconds: Histogram


class _ModelMetrics:
    """What is counted of each model."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._texts = _counter("satsuma_texts", "Texts embedded.", registry)
        self._tokens = _counter("satsuma_tokens", "Tokens embedded, as in usage.", registry)
        self._truncated = _counter(
            "satsuma_truncated_texts", "Texts whose end was left out.", registry
        )
        self._queue_seconds = _seconds(
            "satsuma_queue_seconds", "A request's wait for its last microbatch.", registry
        )
        self._inference_seconds = _seconds(
            "satsuma_inference_seconds", "A request's longest microbatch.", registry
        )

    def of(self, model: str) -> _ModelCounts:
        return _ModelCounts(
            texts=self._texts.labels(model),
            tokens=self._tokens.labels(model),
            truncated=self._truncated.labels(model),
            queue_seconds=self._queue_seconds.labels(model),
            inference_seconds=self._inference_seconds.labels(model),
        )


@dataclass(frozen=True, slots=True)
class _LaneCounts:
    """The metrics of one kind of lane."""

    microbatch_tokens: Histogram
    engine_seconds: Counter


class _LaneMetrics:
    """What is counted of each kind of lane."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._microbatch_tokens = Histogram(
            "satsuma_microbatch_tokens",
            "Tokens of each microbatch that was run.",
            ("lane",),
            buckets=_TOKENS,
            registry=registry,
        )
        self._engine_seconds = Counter(
            "satsuma_engine_seconds",
            "Time that lanes spent in microbatches; a lane's share of it is its load.",
            ("lane",),
            registry=registry,
        )

    def of(self, lane: str) -> _LaneCounts:
        return _LaneCounts(
            microbatch_tokens=self._microbatch_tokens.labels(lane),
            engine_seconds=self._engine_seconds.labels(lane),
        )


@dataclass(frozen=True, slots=True)
class Described:
    """A metric in the documentation's words."""

    name: str
    kind: str
    labels: tuple[str, ...]
    about: str


def list_metrics() -> list[Described]:
    """Describe satsuma's own metrics, by name."""
    metrics = Metrics(lambda: State(0, {"model": 0}, {"state": 0}))
    metrics.note_model("model")
    return sorted(metrics.describe(), key=lambda one: one.name)


class _StateCollector(Collector):
    """Asks for the state once a scrape."""

    def __init__(self, state: Callable[[], State]) -> None:
        self._state = state

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Give what is so now."""
        state = self._state()
        yield GaugeMetricFamily(
            "satsuma_waiting_tokens", "Tokens admitted and not done.", state.waiting_tokens
        )
        memory = GaugeMetricFamily(
            "satsuma_model_memory_bytes", "Memory of each loaded model.", labels=("model",)
        )
        for model, size_bytes in state.model_bytes.items():
            memory.add_metric((model,), size_bytes)
        yield memory
        jobs = GaugeMetricFamily(
            "satsuma_jobs", "Jobs of the asynchronous queue, by state.", labels=("state",)
        )
        for name, count in state.jobs.items():
            jobs.add_metric((name,), count)
        yield jobs


def _counter(name: str, about: str, registry: CollectorRegistry) -> Counter:
    return Counter(name, about, ("model",), registry=registry)


def _seconds(name: str, about: str, registry: CollectorRegistry) -> Histogram:
    return Histogram(name, about, ("model",), buckets=_SECONDS, registry=registry)
