"""`satsuma serve`: fetch what is missing, load, listen, and say how to call it."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from satsuma.api.server import run
from satsuma.auth.exposure import check_exposure
from satsuma.auth.tokens import TOKENS_FILE, TokenStore
from satsuma.cli.logs import set_up_logging
from satsuma.cli.options import setting_options
from satsuma.cli.session import Session
from satsuma.engine.machine import detect_cores
from satsuma.errors import DigestMismatchError, ModelNotInstalledError, StoreError
from satsuma.memory import calm_collector
from satsuma.settings import Settings, load_settings
from satsuma.store.local import ModelStore

_DEFAULT_MODELS = ("@cf/baai/bge-base-en-v1.5", "@hf/sentence-transformers/all-minilm-l6-v2")
_EPILOG = """
\b
Examples:
  satsuma serve
  satsuma serve --model @cf/baai/bge-small-en-v1.5 --port 8000
  satsuma token create --account demo && satsuma serve --host 0.0.0.0
"""


@click.command(epilog=_EPILOG)
@setting_options(
    "host", "port", "unix_socket", "tls_certificate", "tls_key", "cors_origin",
    "model", "models_dir", "threads", "lanes", "engine", "device", "precision",
    "token_budget", "deadline_s", "max_waiting_tokens", "max_body_bytes", "memory_budget_bytes",
    "drain_s", "requests_per_minute", "tokens_per_minute", "no_auth", "skip_self_test",
    "data_dir", "http_processes", "access_log", "log_format", "traces",
    "queue_url", "no_queue_worker", "queue_lease_s", "queue_results_s", "queue_max_requests",
    "queue_max_texts", "queue_max_waiting_texts",
)  # fmt: skip
def serve(**flags: Any) -> None:
    """Serve embeddings over HTTP, with the URLs and the JSON of Cloudflare Workers AI.

    Without --model, serves bge-base-en-v1.5 and all-MiniLM-L6-v2, and fetches what is missing.
    Other installed models load on their first use.
    """
    settings = load_settings(flags)
    set_up_logging(settings.log_format)
    _warn_of_threads(settings)
    tokens = TokenStore(settings.data_dir / TOKENS_FILE)
    check_exposure(settings, tokens)
    store = ModelStore(settings.models_dir)
    unavailable = _fetch_missing(store, settings)
    ids = [model for model in _wanted(settings) if model not in unavailable]
    if not ids:
        raise ModelNotInstalledError("None of the models could be fetched: nothing can be served.")
    session = Session(settings, store, tokens, ids, unavailable)
    calm_collector()  # before a model is loaded: what is there now stays
    exit_code = run(session.serve())
    if session.failure is not None:
        raise session.failure
    if not session.has_ended:  # the engine hangs, and its threads would keep the process alive
        click.echo("Stopped before the engine's running work had ended.", err=True)
        os._exit(1)
    sys.exit(exit_code)


def _warn_of_threads(settings: Settings) -> None:
    usable = detect_cores().usable
    if settings.threads > usable:
        warning = f"{settings.threads} threads on {usable} cores make everything slower."
        click.secho(f"Warning: {warning}", fg="yellow", err=True)


def _wanted(settings: Settings) -> tuple[str, ...]:
    return settings.model or _DEFAULT_MODELS


def _fetch_missing(store: ModelStore, settings: Settings) -> dict[str, str]:
    """Pull the models that are not here; a default one that cannot be had is explained.

    Returns:
        What a call for each of those gets to hear, by id.

    Raises:
        StoreError: if a model was asked for and cannot be fetched.
    """
    unavailable: dict[str, str] = {}
    for model in _wanted(settings):
        try:
            store.resolve(model)
        except (ModelNotInstalledError, DigestMismatchError):  # a pull mends what is damaged
            from satsuma.cli.models import pull_model  # noqa: PLC0415 - the hub's client is slow

            try:
                pull_model(store, model)
            except StoreError as error:
                if settings.model:
                    raise
                unavailable[model] = _explain(model, error)
                click.secho(unavailable[model], fg="yellow", err=True)
    return unavailable


def _explain(model: str, error: StoreError) -> str:
    """Say in two lines what is missing, and how to get it."""
    return (
        f"{model}: its weights could not be fetched. {error}\n"
        f"Get them with: satsuma models pull {model}   (or copy a folder: docs/models.md)"
    )
