"""Routes for whoever runs the server: is it alive, can it answer. Open to all, without tokens."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from satsuma.api.answers import json_response
from satsuma.api.ports import EmbeddingService


class OpsRoutes:
    """`GET /health` and `GET /ready`."""

    def __init__(self, service: EmbeddingService) -> None:
        """Ask this service."""
        self._service = service

    def routes(self) -> list[Route]:
        """List the paths."""
        return [Route("/health", self.health), Route("/ready", self.ready)]

    async def health(self, _request: Request) -> Response:
        """Say that the event loop turns; a draining server is still alive."""
        return json_response({"status": "ok"})

    async def ready(self, _request: Request) -> Response:
        """Say whether requests would be answered now, and if not, why."""
        readiness = self._service.readiness()
        if readiness.is_ready:
            return json_response({"ready": True, "models": readiness.models})
        answer = {"ready": False, "reason": readiness.reason, "models": readiness.models}
        return json_response(answer, status=503)
