"""Traces: whose spans, what they tell, and what they never tell; by the SDK's own exporter."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest
from api.in_test_service import MODEL, InTestService
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext, SpanKind, StatusCode, Tracer
from starlette.applications import Starlette
from starlette.types import Message

from satsuma.api import tracing
from satsuma.api.app import create_app
from satsuma.api.metering import Counts
from satsuma.api.tracing import ExportedTraces
from satsuma.auth.tokens import TokenStore
from satsuma.errors import EngineError, InvalidInputError, ModelNotInstalledError
from satsuma.settings import Settings
from satsuma.types import EmbedRequest, EmbedResult, Timings

RUN = f"/client/v4/accounts/me/ai/run/{MODEL}"
RUN_ROUTE = "/client/v4/accounts/{account_id}/ai/run/{model}"
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN_ID = "00f067aa0ba902b7"


class QuickService(InTestService):
    """Takes less time than there was, so that every stage has its place."""

    async def embed(self, request: EmbedRequest) -> EmbedResult:
        """Answer with timings of nanoseconds."""
        return replace(await super().embed(request), timings=Timings(2e-9, 3e-9, 4e-9))


@pytest.fixture
def service() -> InTestService:
    """Give the service behind `client`."""
    return QuickService()


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    """Keep the spans that have ended."""
    return InMemorySpanExporter()


@pytest.fixture
def app(service: InTestService, tokens: TokenStore, exporter: InMemorySpanExporter) -> Starlette:
    """Give an application that traces."""
    counts = Counts(traces=ExportedTraces(SimpleSpanProcessor(exporter)))
    return create_app(service, Settings(max_body_bytes=10_000), tokens, counts=counts)


@pytest.fixture
async def client(app: Starlette) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client of it, without a network."""
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://satsuma") as one:
        yield one


def spans(exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    """Give what ended, by name."""
    return {span.name: span for span in exporter.get_finished_spans()}


def context_of(span: ReadableSpan) -> SpanContext:
    """Give what a span passes on: its trace, itself, its state."""
    context = span.get_span_context()
    assert context is not None
    return context


def attributes(span: ReadableSpan) -> dict[str, object]:
    """Give a span's attributes."""
    return dict(span.attributes or {})


async def test_a_request_is_a_span(
    client: httpx.AsyncClient, exporter: InMemorySpanExporter
) -> None:
    """By OpenTelemetry's conventions for HTTP, and with the id that the client got."""
    answer = await client.post(RUN, json={"text": "one"})
    span = spans(exporter)[f"POST {RUN_ROUTE}"]
    assert (span.kind, span.parent, span.status.status_code) == (
        SpanKind.SERVER,
        None,
        StatusCode.UNSET,
    )
    assert attributes(span) == {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "http.route": RUN_ROUTE,
        "network.protocol.version": "1.1",
        "satsuma.request_id": answer.headers["x-request-id"],
        "url.path": RUN,
        "url.scheme": "http",
    }


async def test_below_it_is_the_embedding(
    client: httpx.AsyncClient, exporter: InMemorySpanExporter
) -> None:
    """By the conventions for generative AI: model, tokens, dimensions."""
    await client.post(RUN, json={"text": ["one", "two"]})
    found = spans(exporter)
    embedding, request = found[f"embeddings {MODEL}"], found[f"POST {RUN_ROUTE}"]
    assert embedding.parent == request.context
    assert embedding.kind is SpanKind.INTERNAL
    assert attributes(embedding) == {
        "gen_ai.embeddings.dimension.count": 3,
        "gen_ai.operation.name": "embeddings",
        "gen_ai.provider.name": "satsuma",
        "gen_ai.request.model": MODEL,
        "gen_ai.usage.input_tokens": 8,
        "satsuma.texts": 2,
    }


async def test_below_that_is_where_the_time_went(
    client: httpx.AsyncClient, exporter: InMemorySpanExporter
) -> None:
    """Tokenising, the queue, inference: one after the other, as long as each took."""
    await client.post(RUN, json={"text": "one"})
    found = spans(exporter)
    stages = [found[name] for name in ("tokenise", "queue", "inference")]
    embedding = found[f"embeddings {MODEL}"]
    assert all(stage.parent == embedding.context for stage in stages)
    times = [(stage.start_time or 0, stage.end_time or 0) for stage in stages]
    assert [end - start for start, end in times] == [2, 3, 4]
    assert times[0][1] == times[1][0]
    assert times[1][1] == times[2][0]
    assert (times[0][0], times[2][1]) == (embedding.start_time, embedding.end_time)


async def test_no_stage_begins_before_the_request(
    client: httpx.AsyncClient,
    service: InTestService,
    exporter: InMemorySpanExporter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Even where the lengths add up to more than there was: microbatches overlap."""
    embed = InTestService.embed

    async def embed_long(request: EmbedRequest) -> EmbedResult:
        return replace(await embed(service, request), timings=Timings(100.0, 100.0, 100.0))

    monkeypatch.setattr(service, "embed", embed_long)
    await client.post(RUN, json={"text": "one"})
    found = spans(exporter)
    request = found[f"POST {RUN_ROUTE}"]
    for name in ("tokenise", "queue", "inference", f"embeddings {MODEL}"):
        assert (found[name].start_time or 0) >= (request.start_time or 0)
        assert (found[name].end_time or 0) <= (request.end_time or 0)


async def test_the_clients_context_is_taken_over(
    client: httpx.AsyncClient, exporter: InMemorySpanExporter
) -> None:
    """As W3C has it: the same trace, below the caller's span, with its state."""
    headers = {"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01", "tracestate": "vendor=value"}
    await client.post(RUN, json={"text": "one"}, headers=headers)
    for span in exporter.get_finished_spans():
        assert f"{context_of(span).trace_id:032x}" == TRACE_ID
    request = spans(exporter)[f"POST {RUN_ROUTE}"]
    assert request.parent is not None
    assert f"{request.parent.span_id:016x}" == SPAN_ID
    assert context_of(request).trace_state.get("vendor") == "value"


async def test_a_client_that_is_not_traced_is_not_traced_here(
    client: httpx.AsyncClient, exporter: InMemorySpanExporter
) -> None:
    """Its flag says so; that is what the SDK's usual sampler heeds."""
    headers = {"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-00"}
    assert (await client.post(RUN, json={"text": "one"}, headers=headers)).status_code == 200
    assert exporter.get_finished_spans() == ()


@pytest.mark.parametrize(
    "traceparent",
    ["", "nonsense", f"00-{'0' * 32}-{SPAN_ID}-01", f"ff-{TRACE_ID}-{SPAN_ID}-01", "00-" * 400],
)
async def test_a_context_that_is_none_begins_a_trace(
    client: httpx.AsyncClient, exporter: InMemorySpanExporter, traceparent: str
) -> None:
    """And harms nobody."""
    await client.post(RUN, json={"text": "one"}, headers={"traceparent": traceparent})
    span = spans(exporter)[f"POST {RUN_ROUTE}"]
    assert span.parent is None
    assert f"{context_of(span).trace_id:032x}" != TRACE_ID


async def test_no_span_has_a_text_or_a_token(
    client: httpx.AsyncClient,
    tokens: TokenStore,
    exporter: InMemorySpanExporter,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Neither of body, header, query nor of a path that leads nowhere; nor has the log."""
    token, _ = tokens.create("me")
    headers = {
        "authorization": f"Bearer {token}",
        "traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01",
        "tracestate": "a secret, b=secret=secret",
        "user-agent": "secret",
    }
    with caplog.at_level(logging.WARNING):
        await client.post(f"{RUN}?secret=secret", json={"text": "a secret"}, headers=headers)
        await client.get(f"/{token}/secret", headers=headers)
    seen = "".join(span.to_json() for span in exporter.get_finished_spans())
    assert seen.count('"http.response.status_code"') == 2
    for text in (seen, caplog.text):
        assert "secret" not in text
        assert token not in text


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InvalidInputError("no"), 400),
        (ModelNotInstalledError("not here"), 503),
        (EngineError("it broke"), 500),
    ],
)
async def test_a_span_fails_where_the_server_does(
    client: httpx.AsyncClient,
    service: InTestService,
    exporter: InMemorySpanExporter,
    error: Exception,
    status: int,
) -> None:
    """What a client did wrong is none of the server's errors; neither has an embedding."""
    service.error = error
    answer = await client.post(RUN, json={"text": "one"})
    (span,) = exporter.get_finished_spans()
    assert answer.status_code == attributes(span)["http.response.status_code"] == status
    assert attributes(span).get("error.type") == (str(status) if status >= 500 else None)
    assert (span.status.status_code is StatusCode.ERROR) == (status >= 500)


async def test_a_client_that_leaves_gets_a_failed_span(
    app: Starlette, exporter: InMemorySpanExporter
) -> None:
    """There is no status then."""
    scope = {
        "type": "http",
        "method": "POST",
        "path": RUN,
        "headers": [],
        "query_string": b"",
        "http_version": "1.1",
        "scheme": "http",
    }

    async def leave() -> Message:
        return {"type": "http.disconnect"}

    async def send(_: Message) -> None:
        pytest.fail("nobody is there")

    await app(scope, leave, send)
    (span,) = exporter.get_finished_spans()
    assert attributes(span)["error.type"] == "client_disconnected"
    assert "http.response.status_code" not in attributes(span)


async def test_probes_and_scrapes_are_not_traced(
    client: httpx.AsyncClient, exporter: InMemorySpanExporter
) -> None:
    """They come every few seconds, and say nothing of anybody's request."""
    for path in ("/health", "/ready", "/metrics"):
        assert (await client.get(path)).status_code == 200
    assert exporter.get_finished_spans() == ()


async def test_paths_and_methods_make_no_names(
    client: httpx.AsyncClient, exporter: InMemorySpanExporter
) -> None:
    """Whatever a client makes up, spans have few names."""
    await client.get("/wp-login.php")
    await client.request("FROBNICATE", RUN)
    first, second = exporter.get_finished_spans()
    assert first.name == "GET"
    assert second.name == f"HTTP {RUN_ROUTE}"
    assert attributes(second)["http.request.method"] == "_OTHER"


def test_the_service_has_a_name(
    exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours, or the environment's; with what else that says."""
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
    assert _resource(exporter)["service.name"] == "satsuma"
    monkeypatch.setenv("OTEL_SERVICE_NAME", "search")
    found = _resource(exporter)
    assert found["service.name"] == "search"
    assert found["deployment.environment.name"] == "test"


def _resource(exporter: InMemorySpanExporter) -> dict[str, object]:
    traces = ExportedTraces(SimpleSpanProcessor(exporter))
    tracer = traces.middleware.kwargs["tracer"]
    assert isinstance(tracer, Tracer)
    tracer.start_span("one").end()
    resource = exporter.get_finished_spans()[-1].resource
    return dict(json.loads(resource.to_json())["attributes"])


class HangingProcessor(SpanProcessor):
    """Sends to a collector that does not answer."""

    def __init__(self) -> None:
        """Hang until the test ends."""
        self.is_over = threading.Event()

    def shutdown(self) -> None:
        """Wait."""
        self.is_over.wait()


def test_a_collector_that_hangs_does_not_keep_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing gives up after a while; what was not sent is lost."""
    monkeypatch.setattr(tracing, "_CLOSE_S", 0.01)
    processor = HangingProcessor()
    try:
        ExportedTraces(processor).close()
        assert not processor.is_over.is_set()
    finally:
        processor.is_over.set()
