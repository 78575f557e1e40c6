"""A collector on loopback that takes OTLP over HTTP, as OpenTelemetry's own does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

_PROTOBUF = "application/x-protobuf"


@dataclass
class Collector:
    """What it was sent.

    Attributes:
        url: for OTEL_EXPORTER_OTLP_ENDPOINT.
        requests: as they came, decoded.
        bodies: as they came.
        headers: of each.
    """

    url: str = ""
    requests: list[ExportTraceServiceRequest] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    @property
    def spans(self) -> list[Span]:
        """Every span, in the order in which they came."""
        return [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    @property
    def resource(self) -> dict[str, str]:
        """Who sent the first of them."""
        attributes = self.requests[0].resource_spans[0].resource.attributes
        return {one.key: one.value.string_value for one in attributes}


@contextmanager
def collecting() -> Iterator[Collector]:
    """Listen until the block ends."""
    collector = Collector()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path != "/v1/traces" or self.headers["Content-Type"] != _PROTOBUF:
                self.send_error(404)
                return
            collector.bodies.append(body)
            collector.headers.append({key.lower(): text for key, text in self.headers.items()})
            collector.requests.append(ExportTraceServiceRequest.FromString(body))
            self._answer(ExportTraceServiceResponse().SerializeToString())

        def _answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", _PROTOBUF)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        collector.url = f"http://127.0.0.1:{server.server_address[1]}"
        listening = threading.Thread(target=server.serve_forever)
        listening.start()
        try:
            yield collector
        finally:
            server.shutdown()
            listening.join()
