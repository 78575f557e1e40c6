"""Traces of requests for OpenTelemetry: a span each, and below it where its time went.

Imported only where traces are asked for: it needs the packages of the extra `otel`. Which requests
are traced and where that is sent is up to the OTEL_* variables, which OpenTelemetry's SDK reads
itself. No span ever has a text, a vector, a token, or a query string.

Sources: https://opentelemetry.io/docs/specs/semconv/http/http-spans/ and, still in development,
https://github.com/open-telemetry/semantic-conventions-genai/blob/main/docs/gen-ai/client-embeddings.md
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Final

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagators.textmap import Getter
from opentelemetry.sdk.resources import (
    SERVICE_NAME,
    SERVICE_VERSION,
    OTELResourceDetector,
    Resource,
)
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from satsuma import __version__
from satsuma.api.identity import request_id
from satsuma.api.metering import RequestNotes, notes_of
from satsuma.api.paths import route_of
from satsuma.errors import ConfigurationError
from satsuma.types import EmbedResult, Timings

_METHODS: Final = frozenset(
    {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"}
)
_CLOSE_S: Final = 5.0  # for a collector that does not answer; what it has not got by then is lost
_NS: Final = 1e9
_TELLS_HEADERS: Final = "opentelemetry.trace.span"  # its warnings repeat what a client sent


def open_traces() -> ExportedTraces:
    """Export to the collector of the OTEL_* variables, over HTTP.

    Raises:
        ConfigurationError: if one of them cannot be used.
    """
    try:
        return ExportedTraces(BatchSpanProcessor(OTLPSpanExporter()))
    except ValueError as error:
        raise ConfigurationError(f"An OTEL_* variable cannot be used: {error}") from error


class ExportedTraces:
    """Makes spans, and passes them on once they have ended.

    Attributes:
        middleware: stands behind `Metering`.
    """

    def __init__(self, processor: SpanProcessor) -> None:
        """Begin; spans that have ended go to `processor`, which may not block."""
        logging.getLogger(_TELLS_HEADERS).setLevel(logging.ERROR)
        self._provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
        self._provider.add_span_processor(processor)
        tracer = self._provider.get_tracer("satsuma", __version__)
        self.middleware = Middleware(Tracing, tracer=tracer)

    def close(self) -> None:
        """Send what is left, for a few seconds at most."""
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(_CLOSE_S)


def _resource() -> Resource:
    """Name this service, unless the environment has another name for it."""
    ours = Resource({SERVICE_NAME: "satsuma", SERVICE_VERSION: __version__})
    named = ours.merge(OTELResourceDetector().detect())
    return Resource.create(named.attributes)


class _HeaderGetter(Getter[Headers]):
    """Reads a request's headers; one that was sent several times counts whole."""

    def get(self, carrier: Headers, key: str) -> list[str] | None:
        return carrier.getlist(key) or None

    def keys(self, carrier: Headers) -> list[str]:
        return carrier.keys()


_CONTEXT: Final = TraceContextTextMapPropagator()
_HEADERS: Final = _HeaderGetter()


class Tracing:
    """Makes a span of every request but those of probes and scrapes."""

    def __init__(self, app: ASGIApp, *, tracer: Tracer) -> None:
        """Stand before `app`."""
        self._app = app
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Trace a request from its head to its answer's end."""
        if scope["type"] != "http" or route_of(scope["path"]) == "operations":
            await self._app(scope, receive, send)
            return
        started_at_ns, status = time.time_ns(), 0
        span = self._start(scope, started_at_ns)

        async def send_noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_noting)
        finally:
            if span.is_recording():
                _describe_answer(span, status)
                self._add_embedding(span, notes_of(scope), started_at_ns)
            span.end()

    def _start(self, scope: Scope, started_at_ns: int) -> Span:
        method = scope["method"] if scope["method"] in _METHODS else "_OTHER"
        route = _find_route(scope)
        attributes = {
            "http.request.method": method,
            "http.route": route,
            "network.protocol.version": scope["http_version"],
            "satsuma.request_id": request_id(scope),
            "url.path": scope["path"] if route else "",  # else it may be anything, a token too
            "url.scheme": scope["scheme"],
        }
        return self._tracer.start_span(
            " ".join(filter(None, ("HTTP" if method == "_OTHER" else method, route))),
            _CONTEXT.extract(Headers(scope=scope), getter=_HEADERS),
            SpanKind.SERVER,
            {name: value for name, value in attributes.items() if value},
            start_time=started_at_ns,
        )

    def _add_embedding(self, parent: Span, notes: RequestNotes, started_at_ns: int) -> None:
        """Say where the time of an embedding went; one that failed has no such span."""
        if (result := notes.result) is None:
            return
        stages = _place_stages(result.timings, started_at_ns, notes.embedded_at_ns)
        first_ns = min(start_ns for _, start_ns, _ in stages)
        embedding = self._tracer.start_span(
            f"embeddings {notes.model}",
            set_span_in_context(parent, Context()),
            attributes=_describe_embedding(notes.model, result),
            start_time=first_ns,
        )
        within = set_span_in_context(embedding, Context())
        for name, start_ns, end_ns in stages:
            self._tracer.start_span(name, within, start_time=start_ns).end(end_ns)
        embedding.end(notes.embedded_at_ns)


def _describe_embedding(model: str, result: EmbedResult) -> dict[str, str | int]:
    num_texts, num_dimensions = result.vectors.shape
    return {
        "gen_ai.operation.name": "embeddings",
        "gen_ai.provider.name": "satsuma",
        "gen_ai.request.model": model,
        "gen_ai.embeddings.dimension.count": num_dimensions,
        "gen_ai.usage.input_tokens": result.usage.prompt_tokens,
        "satsuma.texts": num_texts,
    }


def _find_route(scope: Scope) -> str:
    """Give the pattern of the route that will answer: there are few, and paths are endless."""
    for route in scope["app"].routes:
        if isinstance(route, Route) and route.matches(scope)[0] is not Match.NONE:
            return route.path_format
    return ""


def _describe_answer(span: Span, status: int) -> None:
    """Note the status; a server's span fails only where the server, or its connection, did."""
    if status:
        span.set_attribute("http.response.status_code", status)
    if not status or status >= 500:
        span.set_attribute("error.type", str(status) if status else "client_disconnected")
        span.set_status(StatusCode.ERROR)


def _place_stages(
    timings: Timings, earliest_ns: int, ended_at_ns: int
) -> tuple[tuple[str, int, int], ...]:
    """Place each stage before the next, back from the end; that leaves a model's loading out.

    The longest microbatch need not be the last one, so that the lengths may add up to more time
    than there was: no stage begins before the request.

    Args:
        timings: how long each took.
        earliest_ns: when the request came.
        ended_at_ns: when its vectors were there.

    Returns:
        Each stage's name, start and end, in nanoseconds since 1970.
    """
    placed, end_ns = [], ended_at_ns
    lengths_s = (timings.inference_s, timings.queue_s, timings.tokenise_s)
    for name, length_s in zip(("inference", "queue", "tokenise"), lengths_s, strict=True):
        start_ns = max(earliest_ns, end_ns - round(_NS * length_s))
        placed.append((name, start_ns, end_ns))
        end_ns = start_ns
    return tuple(reversed(placed))
