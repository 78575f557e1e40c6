"""A model folder's small files -> what the model computes, known before its weights are fetched."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from satsuma.engine.architectures import parse_config
from satsuma.engine.architectures.blueprint import Architecture, Dense
from satsuma.engine.architectures.tensors import Linear
from satsuma.errors import UnsupportedModelError
from satsuma.store.facts import DenseFacts, FolderFacts, read_facts


def check_folder(folder: Path) -> None:
    """Look at a model's small files, before its weights are there.

    Raises:
        UnsupportedModelError: if the engine cannot run the model; the message says why.
    """
    read_architecture(folder, read_facts(folder))


def read_architecture(folder: Path, facts: FolderFacts) -> Architecture:
    """Say what a model computes.

    Args:
        folder: has config.json.
        facts: what the folder's other small files decide.

    Raises:
        UnsupportedModelError: if the engine cannot compute it.
    """
    encoder = parse_config(_read_config(folder / "config.json"))
    if encoder.gives_scores:  # its head is its own
        return Architecture(encoder, is_normalized=False)
    _check_chain(encoder.hidden_size, facts.denses)
    return Architecture(encoder, tuple(map(_describe_dense, facts.denses)), facts.is_normalized)


def _check_chain(width: int, denses: Sequence[DenseFacts]) -> None:
    """Refuse a layer that takes other rows than it gets: the kernels would read beyond them."""
    for dense in denses:
        if dense.in_width != width or not dense.out_width:
            raise UnsupportedModelError(
                f"{dense.folder}/config.json takes rows of {dense.in_width} numbers and gives rows "
                f"of {dense.out_width}; it gets rows of {width}."
            )
        width = dense.out_width


def _describe_dense(facts: DenseFacts) -> Dense:
    name = f"{facts.folder}/linear"
    named = Linear.named if facts.has_bias else Linear.unbiased
    linear = named(name, facts.out_width, facts.in_width)
    return Dense(linear, facts.activation)


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or error  # clients need not see the folder
        raise UnsupportedModelError(f"{path.name} cannot be read: {reason}") from error
    if not isinstance(config, dict):
        raise UnsupportedModelError(f"{path.name} is not a JSON object.")
    return config
