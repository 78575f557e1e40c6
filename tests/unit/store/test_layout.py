from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.models import tiny_files, write_files

from satsuma.errors import UnsupportedModelError
from satsuma.store.layout import (
    check_model_type,
    files_of,
    find_layout,
    read_facts,
    select_files,
)
from satsuma.types import Pooling

PLAIN = ("config.json", "tokenizer.json", "model.safetensors")


def test_plain_folder_is_known() -> None:
    """Three files are enough."""
    assert find_layout(PLAIN, where="x").name == "plain"


def test_sentence_transformers_is_tried_first() -> None:
    """modules.json makes the difference."""
    assert find_layout([*PLAIN, "modules.json"], where="x").name == "sentence-transformers"


def test_only_known_files_are_selected() -> None:
    """A pull leaves the rest of a repository alone, and takes the weights last."""
    offered = [*PLAIN, "modules.json", "1_Pooling/config.json", "README.md", "onnx/model.onnx"]
    assert select_files(offered, where="x") == (
        "1_Pooling/config.json",
        "config.json",
        "modules.json",
        "tokenizer.json",
        "model.safetensors",
    )


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (["config.json", "tokenizer.json"], r"x lacks model\.safetensors\. satsuma needs"),
        (["config.json", "tokenizer.json", "pytorch_model.bin"], "ask its author for safetensors"),
        (["config.json", "tokenizer.json", "model.safetensors.index.json"], "sharded"),
        (["config.json", "vocab.txt", "model.safetensors"], r"lacks tokenizer\.json \(vocab"),
        ([], r"lacks config\.json, tokenizer\.json, model\.safetensors"),
    ],
)
def test_missing_file_is_named(paths: list[str], message: str) -> None:
    """The message says which file is missing and what would do."""
    with pytest.raises(UnsupportedModelError, match=message):
        find_layout(paths, where="x")


def test_facts_come_from_the_json_files(tmp_path: Path) -> None:
    """Sentence-transformers' own limit and pooling win over the architecture's."""
    write_files(
        tmp_path,
        tiny_files()
        | {
            "sentence_bert_config.json": b'{"max_seq_length": 32}',
            "1_Pooling/config.json": b'{"pooling_mode_cls_token": true}',
        },
    )
    facts = read_facts(tmp_path)
    assert (facts.model_type, facts.hidden_size, facts.max_tokens) == ("bert", 16, 32)
    assert facts.pooling is Pooling.CLS


def test_untold_facts_are_not_invented(tmp_path: Path) -> None:
    """No file, no fact; only BERT's position table is a limit as it stands."""
    assert read_facts(tmp_path).max_tokens == 0
    write_files(tmp_path, tiny_files(model_type="xlm-roberta"))
    assert read_facts(tmp_path).max_tokens == 0
    assert read_facts(tmp_path).pooling is None


def test_mean_pooling_is_read(tmp_path: Path) -> None:
    """The usual pooling of sentence-transformers."""
    write_files(tmp_path, {"1_Pooling/config.json": b'{"pooling_mode_mean_tokens": true}'})
    assert read_facts(tmp_path).pooling is Pooling.MEAN


@pytest.mark.parametrize("content", [b"{", b"[1]", b"\xff"])
def test_config_that_is_no_object_is_refused(tmp_path: Path, content: bytes) -> None:
    """The message names the file."""
    write_files(tmp_path, {"config.json": content})
    with pytest.raises(UnsupportedModelError, match=r"config\.json is not") as caught:
        read_facts(tmp_path)
    assert str(tmp_path) not in str(caught.value)  # HTTP clients may read it


def test_unsupported_model_type_is_refused(tmp_path: Path) -> None:
    """The message says which type it is, and which would do."""
    write_files(tmp_path, tiny_files(model_type="llama"))
    with pytest.raises(UnsupportedModelError, match=r"'llama'.*Supported: bert, xlm-roberta"):
        check_model_type(read_facts(tmp_path), ("bert", "xlm-roberta"), where="x")


def test_dangling_links_are_not_files(tmp_path: Path) -> None:
    """A link to nothing does not count."""
    (tmp_path / "config.json").symlink_to(tmp_path / "gone")
    (tmp_path / "tokenizer.json").touch()
    assert files_of(tmp_path) == ("tokenizer.json",)


@pytest.mark.parametrize(
    "modes", [("pooling_mode_max_tokens",), ("pooling_mode_mean_tokens", "pooling_mode_cls_token")]
)
def test_a_pooling_that_cannot_be_done_is_refused(tmp_path: Path, modes: tuple[str, ...]) -> None:
    """Replacing it by another would give wrong vectors without a word."""
    path = tmp_path / "1_Pooling" / "config.json"
    path.parent.mkdir()
    path.write_text(json.dumps(dict.fromkeys(modes, True)))
    with pytest.raises(UnsupportedModelError, match=modes[0]):
        read_facts(tmp_path)
