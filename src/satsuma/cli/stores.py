"""What the commands about models share: whose folder, and a word to whoever waits."""

from __future__ import annotations

from pathlib import Path

import click

from satsuma.settings import load_settings
from satsuma.store.local import ModelStore

models_dir_option = click.option(
    "--models-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the models; SATSUMA_MODELS_DIR and satsuma.toml set it too.",
)


def open_store(models_dir: Path | None) -> ModelStore:
    """Look at the folder that the option or the settings name."""
    return ModelStore(load_settings({"models_dir": models_dir}).models_dir)


def notify(message: str) -> None:
    """Say something beside a command's output."""
    click.echo(message, err=True)
