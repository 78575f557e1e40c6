"""The application: its routes, and everything that stands before them, in order."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Route
from starlette.types import ASGIApp

from satsuma.api.accounting import Accounting
from satsuma.api.binding import BindingRoutes
from satsuma.api.catalog import CatalogRoutes
from satsuma.api.cloudflare import RunRoute
from satsuma.api.drain import Drain, DrainGate
from satsuma.api.identity import RequestIdentity
from satsuma.api.inference import Inference
from satsuma.api.metering import Counts, Metering
from satsuma.api.metrics import Metrics
from satsuma.api.middleware import Authentication, BodyLimit, ErrorEnvelopes
from satsuma.api.miniflare import MiniflareProxy
from satsuma.api.openai import OpenAIRoutes
from satsuma.api.openapi.document import DocumentRoute
from satsuma.api.ops import OpsRoutes
from satsuma.api.own import OwnRoutes
from satsuma.api.playground import PlaygroundRoutes
from satsuma.api.ports import EmbeddingService
from satsuma.api.rerank import RerankRoutes
from satsuma.api.run import Run
from satsuma.auth.tokens import TokenStore
from satsuma.jobs.queue import JobQueue
from satsuma.settings import Settings

_EXPOSED = (
    "cf-ai-req-id",
    "ratelimit",
    "ratelimit-policy",
    "retry-after",
    "server-timing",
    "x-request-id",
    "x-satsuma-pooling",
    "x-satsuma-precision",
    "x-satsuma-prompt-tokens",
    "x-satsuma-shape",
    "x-satsuma-truncated",
)


class _Application(Starlette):
    """Starlette's, without the two middlewares that it adds: `ErrorEnvelopes` does their work."""

    def build_middleware_stack(self) -> ASGIApp:
        """Put the middlewares around the router."""
        app: ASGIApp = self.router
        for middleware, args, kwargs in reversed(self.user_middleware):
            app = middleware(app, *args, **kwargs)
        return app


def create_app(
    service: EmbeddingService,
    settings: Settings,
    tokens: TokenStore | None,
    queue: JobQueue | None = None,
    counts: Counts | None = None,
) -> Starlette:
    """Put the HTTP surface before a service.

    Args:
        service: answers the requests.
        settings: body limit and access rule.
        tokens: None stands for a store in which no token was ever made.
        queue: takes asynchronous requests; None refuses them.
        counts: where requests are counted and traced; None begins at zero and keeps nothing.
    """
    drain, counts = Drain(), counts or Counts()
    app = _Application(
        routes=_routes(service, settings, queue, counts.metrics),
        middleware=[  # outermost first
            Middleware(RequestIdentity),
            *_cors(settings),
            Middleware(MiniflareProxy),
            Middleware(Metering, metrics=counts.metrics, is_logged=settings.access_log),
            *([counts.traces.middleware] if counts.traces else []),
            Middleware(DrainGate, drain=drain),
            Middleware(ErrorEnvelopes),
            Middleware(Authentication, settings=settings, tokens=tokens),
            Middleware(Accounting, settings=settings, ledger=counts.ledger, limiter=counts.limiter),
            Middleware(BodyLimit, max_body_bytes=settings.max_body_bytes),
        ],
    )
    app.router.redirect_slashes = False  # a path is right or wrong; nobody follows a POST's 307
    app.state.drain = drain
    return app


def _cors(settings: Settings) -> list[Middleware]:
    """Let pages of other origins call, where that is asked for; else no browser lets them."""
    if not settings.cors_origin:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origin,
            allow_methods=("GET", "POST"),
            allow_headers=("*",),
            expose_headers=_EXPOSED,
        )
    ]


def _routes(
    service: EmbeddingService, settings: Settings, queue: JobQueue | None, metrics: Metrics
) -> list[Route]:
    inference = Inference(service, settings.deadline_s)
    run = Run(inference, queue)
    return [
        *RunRoute(inference, run).routes(),
        *BindingRoutes(inference, run).routes(),
        *OpenAIRoutes(service, inference).routes(),
        *RerankRoutes(inference).routes(),
        *CatalogRoutes(service).routes(),
        *OwnRoutes(service, inference).routes(),
        *OpsRoutes(service, metrics).routes(),
        *DocumentRoute().routes(),
        *PlaygroundRoutes().routes(),
    ]
