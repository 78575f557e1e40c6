"""`satsuma models add`: a private folder becomes a model."""

from __future__ import annotations

from pathlib import Path

import click

from satsuma.cli.stores import models_dir_option, open_store
from satsuma.engine.load import check_model
from satsuma.store.add import add_folder


@click.command("add")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option("--name", help="Name of the model: @local/NAME.  [default: the folder's]")
@click.option("--copy", "is_copied", is_flag=True, help="Copy the files; else they are linked.")
@models_dir_option
def add(folder: Path, name: str | None, is_copied: bool, models_dir: Path | None) -> None:
    """Add a private FOLDER as a model of your own.

    The folder has config.json, tokenizer.json, model.safetensors or pytorch_model.bin, and perhaps
    sentence-transformers' files. It is checked first: whether the engine can run it, and whether
    its weights are those that config.json asks for.

    \b
    Examples:
      satsuma models add ./my-bge --name support-tickets
      satsuma models add --copy /mnt/models/e5-small
    """  # noqa: D301 - click reads the \b
    chosen = name or folder.resolve().name
    store = open_store(models_dir)
    added = add_folder(store, folder, chosen, check_model, is_copied=is_copied)
    what = f"{added.manifest.hidden_size} dimensions" if added.manifest.hidden_size else "scores"
    how = "copied to" if is_copied else "linked as"
    click.echo(f"added {added.manifest.id} ({what}), {how} {added.folder}")
