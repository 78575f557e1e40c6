"""One run of `satsuma serve`: the parts, when they begin, and in which order they end."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field

import click

from satsuma.api.app import create_app
from satsuma.api.listening import url_of
from satsuma.api.metering import Counts, Traces
from satsuma.api.metrics import Metrics, State
from satsuma.api.server import serve as serve_app
from satsuma.assembly import assemble
from satsuma.auth.exposure import open_access
from satsuma.auth.tokens import TokenStore
from satsuma.background import run_in_background
from satsuma.cli.extras import open_traces
from satsuma.errors import SatsumaError
from satsuma.fronts.host import Host
from satsuma.fronts.supervisor import serve_by_fronts
from satsuma.jobs.assembly import Jobs, open_jobs
from satsuma.service import EmbeddingService
from satsuma.settings import Settings
from satsuma.store.local import ModelStore
from satsuma.usage.ledger import USAGE_FILE, Ledger
from satsuma.usage.writing import keep_writing, write_once

_CLOSE_S = 5.0  # beyond the drain: for microbatches whose requests were cut


@dataclass
class Session:
    """One run of the server: loads its models once it listens, and unloads them at the end."""

    settings: Settings
    store: ModelStore
    tokens: TokenStore
    models: list[str]
    unavailable: Mapping[str, str]
    service: EmbeddingService = field(init=False)
    metrics: Metrics = field(init=False)
    ledger: Ledger = field(init=False)
    jobs: Jobs = field(init=False)
    traces: Traces | None = field(init=False)
    failure: Exception | None = None
    has_ended: bool = False
    loading: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        """Put the parts together; nothing is loaded yet."""
        self.traces = None if self._has_fronts else open_traces(self.settings)  # may refuse
        self.metrics = Metrics(self._state)
        self.ledger = Ledger(self.settings.data_dir / USAGE_FILE)
        self.service = assemble(
            self.settings, self.store, self.unavailable, self.metrics.note_microbatch
        )
        self.jobs = open_jobs(
            self.settings, self.service.embed, lambda: self.service.is_stuck, self.ledger.note
        )

    def _state(self) -> State:
        """Look at what a scrape wants to know; a database that is away leaves its counts out."""
        try:
            jobs = self.jobs.count()
        except SatsumaError:
            jobs = {}
        return State(self.service.waiting_tokens, self.service.model_bytes, jobs)

    async def serve(self) -> int:
        """Serve until a signal, close within a limit, and return the exit code."""
        writing = asyncio.create_task(keep_writing(self.ledger))
        try:
            return await self._serve_http()
        finally:
            writing.cancel()
            if self.loading is not None:
                self.loading.cancel()
            if self.jobs.worker is not None:
                await self.jobs.worker.stop()
            await write_once(self.ledger)
            self.has_ended = await self.service.close(_CLOSE_S)
            self.jobs.close()
            if self.traces is not None:
                await run_in_background(self.traces.close)

    @property
    def _has_fronts(self) -> bool:
        return self.settings.http_processes > 1

    async def _serve_http(self) -> int:
        """Speak HTTP here, or let other processes speak it."""
        if self._has_fronts:
            on_job = self.jobs.queue.on_arrival
            host = Host(self.service, self.settings, self.metrics, on_job)
            return await serve_by_fronts(host, self._start_loading)
        counts = Counts(self.metrics, self.ledger, self.traces)
        app = create_app(self.service, self.settings, self.tokens, self.jobs.queue, counts)
        return await serve_app(app, self.settings, self._start_loading)

    def _start_loading(self, host: str, port: int) -> None:
        """Load while the server listens already: health answers, and requests wait."""
        url = url_of(self.settings, host, port)
        click.echo(
            f"Listening on {self.settings.unix_socket or url}, loading {', '.join(self.models)}"
        )
        self.loading = asyncio.create_task(self._load(url))

    async def _load(self, url: str) -> None:
        """Load the models; one that cannot be loaded stops the server."""
        try:
            for model in self.models:
                await self.service.load(model)
                self.metrics.note_model(self.service.manifest(model).id)
        except Exception as error:  # noqa: BLE001  a server without its models must not linger
            self.failure = error
            signal.raise_signal(signal.SIGTERM)
            return
        access = _describe_access(self.settings, self.tokens)
        account = "local" if access else next((t.account for t in self.tokens.list()), "ACCOUNT")
        click.echo(_invitation(self.settings, url, self.models, account, access))
        if self.jobs.worker is not None or self._has_fronts:  # whose jobs are counted here
            await run_in_background(self.jobs.open)
        if self.jobs.worker is not None:
            self.jobs.worker.start()


def _describe_access(settings: Settings, tokens: TokenStore) -> str:
    """Say why nobody is asked for a token; empty where everybody is."""
    if not open_access(settings, tokens):
        return ""
    why = "Tokens are not checked (--no-auth)" if settings.no_auth else "No token is configured"
    return f"{why}: any token, or none, is accepted."


def _invitation(settings: Settings, url: str, models: list[str], account: str, access: str) -> str:
    """Say that the server is ready, who may call, and how; no browser opens a Unix socket."""
    model, path = models[0], settings.unix_socket
    header = "" if access else " \\\n    -H 'Authorization: Bearer YOUR_TOKEN'"
    called = f"--unix-socket {path} {url}" if path else url
    call = f"  curl {called}/client/v4/accounts/{account}/ai/run/{model}{header} \\\n    -d "
    lines = [
        f"Ready: {', '.join(models)}",
        access,
        "Try:",
        call + """'{"text": ["hello world"]}'""",
        "" if path else f"Or open {url}/ in a browser.",
    ]
    return "\n".join(line for line in lines if line)
