"""Which files make up a model folder, and what the small ones say of the model.

Knows file names and JSON keys; does not know where a folder came from, nor what a tensor is.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from satsuma.errors import UnsupportedModelError
from satsuma.store.manifest import WEIGHTS_FILE
from satsuma.types import Pooling

_POOLING_FILE = "1_Pooling/config.json"
_REQUIRED = ("config.json", "tokenizer.json", WEIGHTS_FILE)
_SUPPORTED = f"satsuma needs {', '.join(_REQUIRED[:-1])} and one unsharded {WEIGHTS_FILE}"


@dataclass(frozen=True, slots=True)
class Layout:
    """The files of one kind of model folder."""

    name: str
    required: tuple[str, ...]
    optional: tuple[str, ...]


# Tried in order: the first whose required files are all there wins.
LAYOUTS = (
    Layout(
        name="sentence-transformers",
        required=(*_REQUIRED, "modules.json"),
        optional=(
            _POOLING_FILE,
            "config_sentence_transformers.json",
            "sentence_bert_config.json",
            "tokenizer_config.json",
        ),
    ),
    Layout(name="plain", required=_REQUIRED, optional=("tokenizer_config.json",)),
)


_POOLINGS = {"pooling_mode_mean_tokens": Pooling.MEAN, "pooling_mode_cls_token": Pooling.CLS}


@dataclass(frozen=True, slots=True)
class FolderFacts:
    """What a folder's own JSON files tell.

    Attributes:
        model_type: config.json's, such as `bert`; "" if it has none.
        hidden_size: width of a vector; 0 if untold.
        max_tokens: longest item; 0 if untold.
        pooling: None if untold.
    """

    model_type: str
    hidden_size: int
    max_tokens: int
    pooling: Pooling | None


def find_layout(paths: Collection[str], *, where: str) -> Layout:
    """Tell which known layout a set of files has.

    Args:
        paths: relative to the model's folder, with forward slashes.
        where: the folder or repository, for the message.

    Raises:
        UnsupportedModelError: if a required file is missing; the message says which.
    """
    for layout in LAYOUTS:
        if set(layout.required) <= set(paths):
            return layout
    missing = [name for name in _REQUIRED if name not in paths]
    message = f"{where} lacks {', '.join(missing)}{_hint(missing, paths)}. {_SUPPORTED}."
    raise UnsupportedModelError(message)


def select_files(paths: Collection[str], *, where: str) -> tuple[str, ...]:
    """List the files that a pull should fetch, small ones first.

    Raises:
        UnsupportedModelError: as `find_layout`.
    """
    layout = find_layout(paths, where=where)
    wanted = [*layout.required, *(name for name in layout.optional if name in paths)]
    return tuple(sorted(wanted, key=lambda name: (name == WEIGHTS_FILE, name)))


def files_of(folder: Path) -> tuple[str, ...]:
    """List a folder's known files that are there; a dangling link is not."""
    known = sorted({name for layout in LAYOUTS for name in (*layout.required, *layout.optional)})
    return tuple(name for name in known if (folder / name).is_file())


def read_facts(folder: Path) -> FolderFacts:
    """Read what the JSON files of a folder tell of its model.

    Raises:
        UnsupportedModelError: if one of them is not a JSON object, or asks for a pooling that
            satsuma does not do.
    """
    config = _read_json(folder, "config.json")
    sentence = _read_json(folder, "sentence_bert_config.json")
    model_type = str(config.get("model_type", ""))
    # Only BERT counts positions from 0, so only there is the table's length the limit.
    positions = config.get("max_position_embeddings", 0) if model_type == "bert" else 0
    return FolderFacts(
        model_type=model_type,
        hidden_size=_whole(config.get("hidden_size")),
        max_tokens=_whole(sentence.get("max_seq_length") or positions),
        pooling=_pooling(folder),
    )


def check_model_type(facts: FolderFacts, supported: Collection[str], *, where: str) -> None:
    """Refuse an architecture that the engine cannot run.

    Raises:
        UnsupportedModelError: if the model type is not one of the supported ones.
    """
    if facts.model_type not in supported:
        message = (
            f"{where} has model_type {facts.model_type!r}, which satsuma cannot run. "
            f"Supported: {', '.join(supported)}."
        )
        raise UnsupportedModelError(message)


def _hint(missing: Collection[str], paths: Collection[str]) -> str:
    if WEIGHTS_FILE in missing and f"{WEIGHTS_FILE}.index.json" in paths:
        return " (its weights are sharded)"
    if WEIGHTS_FILE in missing and "pytorch_model.bin" in paths:
        return " (its weights are only in pytorch_model.bin; ask its author for safetensors)"
    if "tokenizer.json" in missing and "vocab.txt" in paths:
        return " (vocab.txt alone does not say how to tokenise)"
    return ""


def _read_json(folder: Path, name: str) -> dict[str, Any]:
    """Read an object; an absent file says nothing."""
    try:
        content = json.loads((folder / name).read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except ValueError as error:
        message = f"{folder.name}/{name} is not JSON: {error}. Replace it with the model's own."
        raise UnsupportedModelError(message) from error
    if not isinstance(content, dict):
        message = f"{folder.name}/{name} is not a JSON object. Replace it with the model's own."
        raise UnsupportedModelError(message)
    return content


def _whole(value: object) -> int:
    return value if isinstance(value, int) and value is not True and value > 0 else 0


def _pooling(folder: Path) -> Pooling | None:
    """Read sentence-transformers' pooling; what satsuma cannot do is refused, not replaced."""
    config = _read_json(folder, _POOLING_FILE)
    modes = [key for key in config if key.startswith("pooling_mode_") and config[key] is True]
    if not modes:
        return None
    if len(modes) > 1 or modes[0] not in _POOLINGS:
        message = (
            f"{folder.name}/{_POOLING_FILE} asks for {' and '.join(modes)}, "
            f"which satsuma does not do. Supported: {', '.join(_POOLINGS)}."
        )
        raise UnsupportedModelError(message)
    return _POOLINGS[modes[0]]
