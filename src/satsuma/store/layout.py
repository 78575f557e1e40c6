"""Which files make up a model folder.

Knows file names; `facts.py` knows what the small ones say. Does not know where a folder came from.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from satsuma.errors import UnsupportedModelError
from satsuma.store.facts import LENGTHS_FILES
from satsuma.store.manifest import WEIGHTS_FILE, WEIGHTS_FILES

# The folders that sentence-transformers makes for its modules; modules.json says which are in use.
_MODULE_FILE = re.compile(r"[0-9]+_[A-Za-z]+/(config\.json|model\.safetensors|pytorch_model\.bin)")
_SMALL = ("config.json", "tokenizer.json")
_SUPPORTED = f"satsuma needs {', '.join(_SMALL)} and one unsharded {' or '.join(WEIGHTS_FILES)}"
_HEAD_FILES = ("sparse_linear.pt", "colbert_linear.pt")  # bge-m3's other two outputs
_SENTENCE_FILES = (
    *_HEAD_FILES,
    "config_sentence_transformers.json",
    *LENGTHS_FILES,
    "tokenizer_config.json",
)


@dataclass(frozen=True, slots=True)
class Layout:
    """The files of one kind of model folder."""

    name: str
    required: tuple[str, ...]
    optional: tuple[str, ...]


# Tried in order: the first whose required files are all there wins.
LAYOUTS = tuple(
    layout
    for weights in WEIGHTS_FILES
    for layout in (
        Layout("sentence-transformers", (*_SMALL, weights, "modules.json"), _SENTENCE_FILES),
        Layout("plain", (*_SMALL, weights), ("tokenizer_config.json",)),
    )
)


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
    missing = [name for name in (*_SMALL, WEIGHTS_FILE) if name not in paths]
    message = f"{where} lacks {', '.join(missing)}{_hint(missing, paths)}. {_SUPPORTED}."
    raise UnsupportedModelError(message)


def select_files(paths: Collection[str], *, where: str) -> tuple[str, ...]:
    """List the files that a pull should fetch, small ones first.

    Raises:
        UnsupportedModelError: as `find_layout`.
    """
    layout = find_layout(paths, where=where)
    wanted = [*layout.required, *(name for name in layout.optional if name in paths)]
    if "modules.json" in layout.required:
        wanted += [name for name in paths if _MODULE_FILE.fullmatch(name)]
    again = {name.replace(*WEIGHTS_FILES) for name in wanted if name.endswith(WEIGHTS_FILE)}
    wanted = [name for name in wanted if name not in again]  # in PyTorch's own format as well
    return tuple(sorted(wanted, key=lambda name: (name in WEIGHTS_FILES, name)))


def files_of(folder: Path) -> tuple[str, ...]:
    """List a folder's known files that are there; a dangling link is not."""
    known = {name for layout in LAYOUTS for name in (*layout.required, *layout.optional)}
    modules = (path.relative_to(folder).as_posix() for path in folder.glob("[0-9]*_*/*"))
    known |= {name for name in modules if _MODULE_FILE.fullmatch(name)}
    return tuple(name for name in sorted(known) if (folder / name).is_file())


def _hint(missing: Collection[str], paths: Collection[str]) -> str:
    if WEIGHTS_FILE in missing and f"{WEIGHTS_FILE}.index.json" in paths:
        return " (its weights are sharded)"
    if "tokenizer.json" in missing and "vocab.txt" in paths:
        return " (vocab.txt alone does not say how to tokenise)"
    return ""
