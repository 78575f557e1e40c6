"""Routes for whoever runs the server: is it alive, can it answer, what has it done.

The first two are open to all; counts tell of models and loads, and want a token if there is one.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from satsuma.api.answers import json_response
from satsuma.api.metrics import Metrics
from satsuma.api.paths import METRICS_PATH
from satsuma.api.ports import EmbeddingService


class OpsRoutes:
    """`GET /health`, `GET /ready` and `GET /metrics`."""

    def __init__(self, service: EmbeddingService, metrics: Metrics) -> None:
        """Ask this service, and show these counts."""
        self._service = service
        self._metrics = metrics

    def routes(self) -> list[Route]:
        """List the paths."""
        return [
            Route("/health", self.health),
            Route("/ready", self.ready),
            Route(METRICS_PATH, self.metrics),
        ]

    async def health(self, _request: Request) -> Response:
        """Say that the event loop turns; a draining server is still alive."""
        return json_response({"status": "ok"})

    async def ready(self, _request: Request) -> Response:
        """Say whether requests would be answered now, and if not, why."""
        readiness = await self._service.readiness()
        if readiness.is_ready:
            return json_response({"ready": True, "models": readiness.models})
        answer = {"ready": False, "reason": readiness.reason, "models": readiness.models}
        return json_response(answer, status=503)

    async def metrics(self, request: Request) -> Response:
        """Write the counts for Prometheus."""
        accept = request.headers.get("accept", "")
        text, media_type = await self._metrics.scrape(accept)
        return Response(text, headers={"content-type": media_type})
