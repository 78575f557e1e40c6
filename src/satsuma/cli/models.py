"""`satsuma models`: what models there are, which are here, and how they come and go.

Parses, calls the store, prints. Errors are the main command's to print.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from satsuma.cli.add import add
from satsuma.cli.decided import decided_of, describe
from satsuma.cli.quantize import quantize
from satsuma.cli.stores import models_dir_option, notify, open_store
from satsuma.cli.verify import verify
from satsuma.columns import align
from satsuma.engine.architectures import SUPPORTED_MODEL_TYPES
from satsuma.engine.architectures.folder import check_folder
from satsuma.engine.load import describe_engine
from satsuma.errors import ConfigurationError, EngineError
from satsuma.settings import load_settings
from satsuma.store.fetch import PulledModel, PullOptions, pull
from satsuma.store.hub import Hub
from satsuma.store.hub_errors import in_megabytes
from satsuma.store.local import ModelStatus, ModelStore

_HEADINGS = ("ID", "DIMENSIONS", "MAX TOKENS", "POOLING", "LICENCE", "SIZE", "STATUS")

_as_json = click.option("--json", "is_json", is_flag=True, help="Print JSON.")


@click.group()
def models() -> None:
    """List, pull, add, verify and remove models.

    \b
    Ids:
      @cf/author/name         a Workers AI model of the bundled catalog
      @hf/organisation/name   any text encoder of the Hugging Face hub that satsuma can run
      @local/name             your own folder of that name in the models' folder

    \b
    Examples:
      satsuma models list
      satsuma models pull @cf/baai/bge-small-en-v1.5
      satsuma models verify
    """  # noqa: D301 - click reads the \b


@models.command("list")
@models_dir_option
@_as_json
def list_models(models_dir: Path | None, is_json: bool) -> None:
    """List the known models and those that are here.

    \b
    Examples:
      satsuma models list
      satsuma models list --json
    """  # noqa: D301 - click reads the \b
    rows = open_store(models_dir).list()
    if is_json:
        click.echo(json.dumps([_to_json(row) for row in rows], indent=2))
        return
    click.echo(align([_HEADINGS, *(_columns(row) for row in rows)]))


@models.command("pull")
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@models_dir_option
def pull_models(ids: Sequence[str], models_dir: Path | None) -> None:
    """Fetch models and check every file against its published digest.

    A pull that was cut goes on where it stopped. A model that is here is checked, and mended if
    a file is damaged. HF_ENDPOINT, HF_HOME, HF_TOKEN and HF_HUB_OFFLINE mean what they always do.

    \b
    Examples:
      satsuma models pull @cf/baai/bge-base-en-v1.5
      satsuma models pull @hf/sentence-transformers/all-MiniLM-L12-v2
    """  # noqa: D301 - click reads the \b
    store = open_store(models_dir)
    for model_id in ids:
        pull_model(store, model_id)


def pull_model(store: ModelStore, model_id: str) -> None:
    """Pull one model, with a bar on a terminal and a line at the end."""
    hub = Hub(notify=notify, is_bar_shown=sys.stderr.isatty())
    options = PullOptions(hub, SUPPORTED_MODEL_TYPES, check_folder)
    click.echo(_pulled_line(pull(store, model_id, options)))


@models.command("info")
@click.argument("id_", metavar="ID")
@models_dir_option
@_as_json
def show_info(id_: str, models_dir: Path | None, is_json: bool) -> None:
    """Show what is known of one model, and where its files are.

    \b
    Examples:
      satsuma models info @cf/baai/bge-base-en-v1.5
      satsuma models info @local/mine --json
    """  # noqa: D301 - click reads the \b
    status = open_store(models_dir).info(id_)
    shown = _to_json(status) | {"decided": decided_of(status), "engine": _engine()}
    if is_json:
        click.echo(json.dumps(shown, indent=2))
        return
    files = shown.pop("files")
    decided, engine = shown.pop("decided"), shown.pop("engine")
    lines = [f"{key}: {value}" for key, value in shown.items() if value]
    lines.append(f"runs on: {engine['text']}, in {engine['precision']}")
    lines += describe(decided)
    lines += [f"file: {f['path']} {f['size_bytes'] or '?'} {f['sha256'] or '?'}" for f in files]
    click.echo("\n".join(lines))


@models.command("remove")
@click.argument("id_", metavar="ID")
@click.option("--yes", "is_sure", is_flag=True, help="Do not ask.")
@models_dir_option
def remove_model(id_: str, is_sure: bool, models_dir: Path | None) -> None:
    """Delete a pulled model, and what only it uses in the Hugging Face cache.

    \b
    Examples:
      satsuma models remove @cf/baai/bge-base-en-v1.5
      satsuma models remove --yes @cf/baai/bge-base-en-v1.5
    """  # noqa: D301 - click reads the \b
    store = open_store(models_dir)
    status = store.info(id_)
    if not is_sure:
        _confirm(status)
    folder = store.remove(id_)
    click.echo(f"removed {status.manifest.id} from {folder}")


for _command in (add, verify, quantize):
    models.add_command(_command)


def _confirm(status: ModelStatus) -> None:
    """Ask a person; a script has to say --yes."""
    if not sys.stdin.isatty():
        message = "There is no terminal to ask on. Say --yes to remove without asking."
        raise ConfigurationError(message)
    question = f"Remove {status.manifest.id} ({in_megabytes(status.size_bytes)})"
    click.confirm(f"{question}, also from the Hugging Face cache?", abort=True)


def _pulled_line(pulled: PulledModel) -> str:
    size = in_megabytes(pulled.manifest.size_bytes)
    if pulled.was_installed:
        return f"{pulled.manifest.id} is here already, all as published ({size})"
    return f"pulled {pulled.manifest.id} ({size}) in {pulled.duration_s:.0f} s"


def _columns(row: ModelStatus) -> tuple[str, ...]:
    manifest = row.manifest
    return (
        manifest.id,
        str(manifest.hidden_size or "-"),
        str(manifest.max_tokens or "-"),
        manifest.pooling or "-",
        manifest.licence,
        in_megabytes(row.size_bytes) if row.size_bytes else "-",
        row.state,
    )


def _engine() -> dict[str, str]:
    """Say what would run a model here, by the environment and satsuma.toml."""
    settings = load_settings({})
    try:
        text = describe_engine(settings)[1]
    except EngineError as error:
        text = f"nothing: {error}"
    return {"text": text, "device": settings.device, "precision": settings.precision}


def _to_json(row: ModelStatus) -> dict[str, Any]:
    manifest = row.manifest
    return {
        "id": manifest.id,
        "state": row.state,
        "description": manifest.description,
        "dimensions": manifest.hidden_size,
        "max_tokens": manifest.max_tokens,
        "pooling": manifest.pooling,
        "licence": manifest.licence,
        "size_bytes": row.size_bytes,
        "folder": str(row.folder) if row.folder else None,
        "source": row.source,
        "repository": manifest.repository,
        "revision": manifest.revision,
        "aliases": list(manifest.aliases),
        "files": [
            {"path": f.path, "size_bytes": f.size_bytes, "sha256": f.sha256} for f in manifest.files
        ],
    }
