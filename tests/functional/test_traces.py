"""`satsuma serve --traces` and a collector: what arrives there, over HTTP, as protobuf."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from support.collector import Collector, collecting
from support.program import environment, satsuma, serving

ALL_MINILM = "@hf/sentence-transformers/all-minilm-l6-v2"
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN_ID = "00f067aa0ba902b7"
SECRET = "nobody else may read this"


@pytest.fixture(scope="module", params=["1", "2"], ids=["one process", "two processes"])
def collector(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Collector]:
    """A collector that was sent the trace of one request, by a server that has stopped since."""
    home = tmp_path_factory.mktemp("home")
    with collecting() as one:
        env = environment(
            home,
            OTEL_EXPORTER_OTLP_ENDPOINT=one.url,
            OTEL_EXPORTER_OTLP_HEADERS="api-key=letmein",
            OTEL_SERVICE_NAME="search",
        )
        flags = ("--traces", "--model", ALL_MINILM, "--http-processes", request.param)
        with serving(*flags, env=env) as running:
            headers = {"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01"}
            body = {"text": [SECRET, "another"]}
            url = running.run_url(ALL_MINILM)
            assert requests.post(url, json=body, headers=headers, timeout=30).status_code == 200
            assert running.terminate() == 0, running.output
        yield one


def by_name(collector: Collector) -> dict[str, Span]:
    """Give the spans by name."""
    return {span.name: span for span in collector.spans}


def test_a_server_that_stops_sends_what_it_has(collector: Collector) -> None:
    """The whole of the client's trace: the request, the embedding, and its stages."""
    found = by_name(collector)
    assert set(found) == {
        "POST /client/v4/accounts/{account_id}/ai/run/{model}",
        f"embeddings {ALL_MINILM}",
        "tokenise",
        "queue",
        "inference",
    }
    assert {span.trace_id.hex() for span in collector.spans} == {TRACE_ID}
    request = found["POST /client/v4/accounts/{account_id}/ai/run/{model}"]
    assert (request.parent_span_id.hex(), request.kind) == (SPAN_ID, Span.SPAN_KIND_SERVER)
    assert found[f"embeddings {ALL_MINILM}"].parent_span_id == request.span_id


def test_stages_take_time_within_the_request(collector: Collector) -> None:
    """Inference more than nothing, and all of them no more than the request."""
    found = by_name(collector)
    request = found["POST /client/v4/accounts/{account_id}/ai/run/{model}"]
    for name in ("tokenise", "queue", "inference"):
        stage = found[name]
        assert request.start_time_unix_nano <= stage.start_time_unix_nano
        assert stage.start_time_unix_nano <= stage.end_time_unix_nano
        assert stage.end_time_unix_nano <= request.end_time_unix_nano
    inference = found["inference"]
    assert inference.end_time_unix_nano > inference.start_time_unix_nano


def test_the_variables_of_opentelemetry_count(collector: Collector) -> None:
    """The service's name and the collector's headers, as they are for every program."""
    assert collector.resource["service.name"] == "search"
    assert {headers["api-key"] for headers in collector.headers} == {"letmein"}


def test_nothing_that_was_embedded_arrives(collector: Collector) -> None:
    """No text, in no form."""
    assert collector.bodies
    assert not any(SECRET.encode() in body for body in collector.bodies)


def test_a_variable_that_cannot_be_used_is_explained(tmp_path: Path) -> None:
    """In one line, before anything is loaded."""
    env = environment(tmp_path, OTEL_BSP_MAX_QUEUE_SIZE="-1")
    done = satsuma("serve", "--traces", "--port", "0", "--model", ALL_MINILM, env=env)
    assert done.returncode == 1
    assert "Error: An OTEL_* variable cannot be used" in done.stderr
    assert "Traceback" not in done.stderr


def test_nothing_is_imported_that_was_not_asked_for(tmp_path: Path) -> None:
    """A server without `--traces` knows no OpenTelemetry, installed or not."""
    code = (
        "import sys, satsuma.cli.serve, satsuma.cli.session, satsuma.api.app\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "[]\n"
