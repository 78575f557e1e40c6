"""Files that came from somewhere: weights, configs, tokenizers, tokens, rows."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from safetensors.numpy import save

from satsuma.auth.tokens import TokenStore
from satsuma.bench.random_model import find_tokenizer_json
from satsuma.bulk.errors import InputError
from satsuma.bulk.formats import InputFormat
from satsuma.bulk.inputs import find_inputs
from satsuma.bulk.readers import read_slabs
from satsuma.engine.architectures.folder import check_folder
from satsuma.engine.tokenizer import Tokenizer
from satsuma.engine.weights import Weights
from satsuma.errors import (
    AuthenticationError,
    ConfigurationError,
    InvalidInputError,
    UnsupportedModelError,
)
from satsuma.store.catalog import load_catalog
from satsuma.store.record import RECORD_FILE, read_record
from support.families import CONFIGS
from support.fuzz.strategies import any_json, changed_bytes, changed_json, deep_json
from support.fuzz.target import Check, Target, named_by_first

_SAVED = Path(__file__).resolve().parents[2] / "golden" / "tensors.bin"
_TEXTS = ["hello world", "", "\ud7ff\U0001f600 [SEP]", "x" * 3000]
_MOST_VALUES = 1 << 20  # a hostile header may promise any number of them
_READ_DTYPES = ("F32", "F16", "BF16")  # others are refused by their headers
_MODULES = [
    {"type": f"sentence_transformers.models.{kind}", "path": path}
    for kind, path in (("Transformer", ""), ("Pooling", "1_Pooling"), ("Dense", "2_Dense"))
]


def _read_all(path: Path) -> None:
    """Open weights and read each tensor."""
    with suppress(UnsupportedModelError):
        weights = Weights(path)
        for name, header in weights.headers.items():
            is_small = np.prod(header.shape, dtype=float) < _MOST_VALUES
            if is_small and header.dtype in _READ_DTYPES:
                weights.read(name)


@contextmanager
def open_pickled(folder: Path) -> Iterator[Check]:
    """Try archives; one that is no archive, as an archive's pickle."""
    path = folder / "pytorch_model.bin"

    def check(content: bytes) -> None:
        path.write_bytes(content)
        _read_all(path)
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", content)
        _read_all(path)

    yield check


@contextmanager
def open_safetensors(folder: Path) -> Iterator[Check]:
    """Try contents of model.safetensors."""
    path = folder / "model.safetensors"

    def check(content: bytes) -> None:
        path.write_bytes(content)
        _read_all(path)

    yield check


@contextmanager
def open_config(folder: Path) -> Iterator[Check]:
    """Try small files of a model's folder."""
    (folder / "1_Pooling").mkdir()
    (folder / "2_Dense").mkdir()

    def check(named: tuple[str, bytes]) -> None:
        name, content = named
        for other in CONFIG_FILES:
            (folder / other).unlink(missing_ok=True)
        (folder / "config.json").write_text(json.dumps(CONFIGS["qwen3"]))
        (folder / "modules.json").write_text(json.dumps(_MODULES))
        (folder / name).write_bytes(content)
        with suppress(UnsupportedModelError):
            check_folder(folder)

    yield check


CONFIG_FILES: dict[str, Sequence[Mapping[str, Any]]] = {
    "config.json": list(CONFIGS.values()),
    "modules.json": _MODULES,
    "sentence_bert_config.json": [{"max_seq_length": 32}],
    "config_sentence_transformers.json": [{"prompts": {"q": "x"}, "default_prompt_name": "q"}],
    "1_Pooling/config.json": [{"pooling_mode": "mean"}, {"pooling_mode_cls_token": True}],
    "2_Dense/config.json": [{"in_features": 8, "out_features": 4, "bias": True}],
}


def _config_files() -> st.SearchStrategy[tuple[str, bytes]]:
    def contents(name: str) -> st.SearchStrategy[tuple[str, bytes]]:
        listed = st.lists(any_json(), max_size=3).map(lambda one: json.dumps(one).encode())
        changed = changed_json(CONFIG_FILES[name]) | listed
        in_list = changed.map(lambda content: b"[" + content + b"]")
        return st.tuples(st.just(name), changed | in_list)

    return st.sampled_from(sorted(CONFIG_FILES)).flatmap(contents)


@contextmanager
def open_tokenizer(folder: Path) -> Iterator[Check]:
    """Try contents of tokenizer.json."""
    path = folder / "tokenizer.json"

    def check(content: bytes) -> None:
        path.write_bytes(content)
        with suppress(UnsupportedModelError):
            tokenizer = Tokenizer(path, 64)
            for text in _TEXTS:
                with suppress(InvalidInputError):
                    tokenizer.tokenize([text])

    yield check


def _small_tokenizer() -> dict[str, Any]:
    """A real tokenizer.json with a vocabulary of few words."""
    whole: dict[str, Any] = json.loads(find_tokenizer_json().read_bytes())
    kept = [*list(whole["model"]["vocab"])[:110], "hello", "world", "##s"]
    whole["model"]["vocab"] = {word: place for place, word in enumerate(kept)}
    return whole


@contextmanager
def open_state(folder: Path) -> Iterator[Check]:
    """Try contents of the tokens, of a pull's note, and of a catalog."""

    def check(content: bytes) -> None:
        for name in ("tokens.json", RECORD_FILE, "catalog.toml"):
            (folder / name).write_bytes(content)
        with suppress(AuthenticationError, ConfigurationError):
            TokenStore(folder / "tokens.json").authenticate("x" * 40, "me")
        read_record(folder)
        with suppress(ConfigurationError):
            load_catalog(folder)

    yield check


_TOKEN = {"id": "a", "account": "me", "name": "", "sha256": "0" * 64, "created_at": ""}
_NOTE = {"id": "@cf/a/b", "repository": "a/b", "revision": "", "file": [], "source": ""}
_CATALOG = b'[[model]]\nid = "@local/a"\nrepository = ""\nrevision = ""\nfile = []\n'


@contextmanager
def open_rows(folder: Path) -> Iterator[Check]:
    """Try files of rows, in every format that is made of lines, and compressed."""

    def check(named: tuple[str, bytes]) -> None:
        name, content = named
        path = folder / name
        path.write_bytes(content)
        with suppress(InputError):
            (file,) = find_inputs(str(path), None)
            column = "text" if file.format is not InputFormat.LINES else "line"
            for slab in read_slabs(file, [column]):
                slab.cells(column)
        path.unlink()

    yield check


_ROW_NAMES = [
    f"rows.{kind}{around}"
    for kind in ("csv", "tsv", "jsonl", "txt")
    for around in ("", ".gz", ".zst")
]
_ROWS = (b'text,id\n"a ""b""",1\nc,2\n', b"text\tid\na\t1\n", b'{"text": "a"}\n{"text": "b"}\n')


def _row_files() -> st.SearchStrategy[tuple[str, bytes]]:
    return st.tuples(st.sampled_from(_ROW_NAMES), changed_bytes(_ROWS) | st.binary(max_size=200))


def _pickles() -> Sequence[bytes]:
    whole = _SAVED.read_bytes()
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        (index,) = [name for name in archive.namelist() if name.endswith("data.pkl")]
        return [whole, archive.read(index)]


_TENSORS = save({"a": np.ones((2, 2), np.float32), "b": np.ones(3, np.float16)})
_REFUSED = "what cannot be read is refused with UnsupportedModelError; nothing else is raised"

FILE_TARGETS = (
    Target(
        "PyTorch's files",
        "archives and pickles that were whole, and any bytes",
        f"nothing is executed, nothing ends the process; {_REFUSED}",
        changed_bytes(_pickles()) | st.binary(max_size=300),
        open_pickled,
        tuple(_pickles()),
    ),
    Target(
        "safetensors",
        "files that were whole, and any bytes",
        _REFUSED,
        changed_bytes([_TENSORS]) | st.binary(max_size=300),
        open_safetensors,
        (_TENSORS,),
    ),
    Target(
        "configs",
        "config.json and its five companions with odd members, odd bytes and endless nesting",
        _REFUSED,
        _config_files(),
        open_config,
        tuple(
            bytes([place]) + json.dumps(whole).encode()
            for place, name in enumerate(sorted(CONFIG_FILES))
            for whole in CONFIG_FILES[name]
        ),
        named_by_first(sorted(CONFIG_FILES)),
    ),
    Target(
        "tokenizers",
        "tokenizer.json with odd members and odd bytes",
        f"{_REFUSED}, but InvalidInputError for a text in which it reads no token",
        st.deferred(lambda: changed_json([_small_tokenizer()])),
        open_tokenizer,
    ),
    Target(
        "state",
        "tokens.json, satsuma.json and catalog.toml with odd members and odd bytes",
        "nobody is let in; the error says which file it is",
        changed_json([{"tokens": [_TOKEN]}, _NOTE]) | changed_bytes([_CATALOG]) | deep_json(),
        open_state,
        (json.dumps({"tokens": [_TOKEN]}).encode(), json.dumps(_NOTE).encode(), _CATALOG),
    ),
    Target(
        "rows",
        "CSV, TSV, JSON Lines and text, compressed or not, of odd bytes",
        "rows that cannot be read are named, files that cannot are refused with InputError",
        _row_files(),
        open_rows,
        tuple(bytes([place]) + row for place in range(len(_ROW_NAMES)) for row in _ROWS),
        named_by_first(_ROW_NAMES),
    ),
)
