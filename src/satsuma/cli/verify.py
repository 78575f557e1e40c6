"""`satsuma models verify`: are the files the published ones, and the answers?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

from satsuma.cli.stores import models_dir_option, notify, open_store
from satsuma.engine.load import load_model
from satsuma.errors import SelfTestError
from satsuma.published import Comparison, compare_published, count_equal, is_published
from satsuma.settings import load_settings
from satsuma.store.hub_errors import in_megabytes
from satsuma.store.local import ModelStatus, ModelStore
from satsuma.store.manifest import FileDigest
from satsuma.store.places import ModelState
from satsuma.types import Precision


@click.command("verify")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--files-only", is_flag=True, help="Load no model: compare digests alone.")
@models_dir_option
def verify(ids: Sequence[str], files_only: bool, models_dir: Path | None) -> None:
    """Read every file again and compare it with its published digest.

    Then load the models of which somebody published vectors or scores, and compare those in fp32.
    Without an ID, verify all models that are here.

    \b
    Examples:
      satsuma models verify
      satsuma models verify @cf/baai/bge-base-en-v1.5
      satsuma models verify --files-only
    """  # noqa: D301 - click reads the \b
    store = open_store(models_dir)
    for model_id in ids or _list_here(store):
        line = _verified_line(store, model_id, store.verify(model_id))
        comparisons = () if files_only else _compare(store, model_id)
        click.echo(line + _compared(comparisons))
        _tell_differences(store.catalog.canonical_id(model_id), comparisons)


def _list_here(store: ModelStore) -> list[str]:
    """List what can be verified, and say what cannot, though there is something to compare."""
    rows = store.list()
    here = [row.manifest.id for row in rows if row.state is not ModelState.NOT_INSTALLED]
    away = [row.manifest.id for row in rows if row.manifest.id not in here]
    known = [model_id for model_id in away if is_published(store.catalog, model_id)]
    if known:
        notify(f"not here, so not compared: {', '.join(known)}")
    return here


def _verified_line(store: ModelStore, model_id: str, files: Sequence[FileDigest]) -> str:
    size = in_megabytes(sum(file.size_bytes or 0 for file in files))
    status = store.info(model_id)
    return f"{status.manifest.id}: {len(files)} files, {size}, {_found(store, status)}"


def _found(store: ModelStore, status: ModelStatus) -> str:
    if status.state is ModelState.LOCAL:
        return "readable; nobody published their digests"
    known = store.catalog.find(status.manifest.id)
    unknown = [] if known is None else [one for one in known.files if one.sha256 is None]
    return f"as pulled; nobody published {len(unknown)} digests" if unknown else "all as published"


def _compare(store: ModelStore, model_id: str) -> tuple[Comparison, ...]:
    """Load a model of which something was published, whatever it gives."""
    if not is_published(store.catalog, model_id):
        return ()
    given = load_settings({"models_dir": store.models_dir})
    settings = replace(given, skip_self_test=True, precision=Precision.FP32)
    return compare_published(load_model(store.resolve(model_id), settings), store.catalog)


def _compared(comparisons: Sequence[Comparison]) -> str:
    if not comparisons:
        return ""
    return f"; {count_equal(comparisons)} of {len(comparisons)} published answers are the same"


def _tell_differences(model_id: str, comparisons: Sequence[Comparison]) -> None:
    """Say what differs; of what is certain, that is an error."""
    wrong = [one for one in comparisons if not one.is_equal]
    for one in wrong:
        click.echo(f"  {one.describe()}")
    if any(one.is_certain for one in wrong):
        raise SelfTestError(f"{model_id} does not give its published answers.")
