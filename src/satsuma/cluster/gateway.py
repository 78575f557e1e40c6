"""One gateway: the HTTP surface of `satsuma serve` before the replicas. Has no engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.applications import Starlette

from satsuma.api.app import create_app
from satsuma.auth.exposure import check_exposure
from satsuma.auth.tokens import TOKENS_FILE, TokenStore
from satsuma.cluster.logs import log_to_stderr
from satsuma.cluster.remote import RemoteService
from satsuma.cluster.shared_queue import close_shared_jobs, open_shared_jobs
from satsuma.jobs.assembly import Jobs
from satsuma.settings import load_settings
from satsuma.store.local import ModelStore


class Gateway:
    """Answers HTTP; Serve makes it, sends it what its proxies receive, and ends it."""

    _jobs: Jobs | None = None

    def __init__(self, flags: Mapping[str, Any], replicas: Any) -> None:
        """Make the application; called on its event loop.

        Args:
            flags: settings that count on every node.
            replicas: Serve's way to them.

        Raises:
            ConfigurationError: if the address is not a loopback one, and this node's store of
                tokens has none; or if `queue_url` cannot be used.
        """
        log_to_stderr()
        settings = load_settings(flags)
        tokens = TokenStore(settings.data_dir / TOKENS_FILE)
        check_exposure(settings, tokens)
        service = RemoteService(replicas, ModelStore(settings.models_dir), settings.deadline_s)
        self._jobs = open_shared_jobs(settings, service.embed)
        queue = self._jobs.queue if self._jobs else None
        self._application = create_app(service, settings, tokens, queue)

    def __serve_build_asgi_app__(self) -> Starlette:
        """Give Serve the application."""
        return self._application

    async def __del__(self) -> None:
        """Give queued work back; Serve awaits it once the requests are done."""
        await close_shared_jobs(self._jobs)
