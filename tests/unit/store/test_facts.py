from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.families import write_family
from support.models import tiny_files, write_files

from satsuma.errors import UnsupportedModelError
from satsuma.store.facts import DenseFacts, check_model_type, read_facts
from satsuma.store.manifest import ModelFiles
from satsuma.types import Pooling


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
    """No file, no fact."""
    facts = read_facts(tmp_path)
    assert (facts.max_tokens, facts.pooling, facts.prompts) == (0, None, {})
    assert not facts.sources


def test_positions_of_the_padding_are_no_room(tmp_path: Path) -> None:
    """RoBERTa and XLM-R number a text's tokens from beyond the padding's row."""
    write_files(tmp_path, tiny_files(model_type="xlm-roberta"))
    assert read_facts(tmp_path).max_tokens == 62


def test_mean_pooling_is_read(tmp_path: Path) -> None:
    """The usual pooling of sentence-transformers."""
    write_files(tmp_path, {"1_Pooling/config.json": b'{"pooling_mode_mean_tokens": true}'})
    assert read_facts(tmp_path).pooling is Pooling.MEAN


@pytest.mark.parametrize(
    ("model_type", "architectures", "gives_scores"),
    [
        ("xlm-roberta", ["XLMRobertaForSequenceClassification"], True),
        ("roberta", ["RobertaForSequenceClassification"], True),
        ("xlm-roberta", ["XLMRobertaModel"], False),
        ("xlm-roberta", None, False),
        ("bert", ["BertForSequenceClassification"], False),
    ],
)
def test_a_classifier_of_a_known_head_gives_scores(
    tmp_path: Path, model_type: str, architectures: list[str] | None, *, gives_scores: bool
) -> None:
    """And has no width of vectors."""
    config = {"model_type": model_type, "architectures": architectures, "hidden_size": 16}
    write_files(tmp_path, {"config.json": json.dumps(config).encode()})
    facts = read_facts(tmp_path)
    assert facts.gives_scores == gives_scores
    assert facts.hidden_size == (0 if gives_scores else 16)
    assert ("gives_scores" in facts.sources) == gives_scores


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


@pytest.mark.parametrize(
    ("config", "pooling"),
    [
        ({"pooling_mode_lasttoken": True}, Pooling.LAST_TOKEN),
        ({"pooling_mode": "lasttoken"}, Pooling.LAST_TOKEN),
        ({"pooling_mode": ["cls"], "include_prompt": True}, Pooling.CLS),
        ({"pooling_mode": "mean", "embedding_dimension": 16}, Pooling.MEAN),
    ],
)
def test_pooling_is_read_in_both_spellings(
    tmp_path: Path, config: dict[str, Any], pooling: Pooling
) -> None:
    """A flag for each mode, as older files have it, or a name."""
    write_files(tmp_path, {"1_Pooling/config.json": json.dumps(config).encode()})
    assert read_facts(tmp_path).pooling is pooling


def test_everything_decided_has_its_file(tmp_path: Path, all_minilm_files: ModelFiles) -> None:
    """Pooling, dense layers, normalisation, prompts and length of an embeddinggemma's folder."""
    tokenizer_json = all_minilm_files.folder / "tokenizer.json"
    facts = read_facts(write_family(tmp_path / "gemma", "gemma3", tokenizer_json))
    assert facts.denses == (
        DenseFacts("2_Dense", 36, 72, has_bias=False, activation="identity"),
        DenseFacts("3_Dense", 72, 36, has_bias=False, activation="identity"),
    )
    assert (facts.hidden_size, facts.max_tokens, facts.is_normalized) == (36, 100, True)
    assert facts.prompts["query"] == "task: search result | query: "
    assert facts.sources == {
        "model_type": "config.json",
        "dimensions": "3_Dense/config.json",
        "max_tokens": "sentence_bert_config.json",
        "pooling": "1_Pooling/config.json",
        "dense_layers": "modules.json",
        "is_normalized": "modules.json",
        "prompts": "config_sentence_transformers.json",
        "default_prompt": "config_sentence_transformers.json",
    }


def test_vectors_without_a_normalising_module_keep_their_length(tmp_path: Path) -> None:
    """modules.json decides; where it is missing, vectors are of unit length."""
    assert read_facts(tmp_path).is_normalized
    write_files(tmp_path, {"modules.json": modules("Transformer", "Pooling")})
    assert not read_facts(tmp_path).is_normalized


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"modules.json": b"{}"}, "not a list"),
        (
            {"modules.json": b'[{"type": "sentence_transformers.models.LSTM"}]'},
            "the module LSTM.*Supported: Transformer",
        ),
        ({"modules.json": b'[{"type": "custom_st.Transformer"}]'}, r"custom_st\.Transformer"),
        ({"1_Pooling/config.json": b'{"pooling_mode": "max"}'}, "asks for max"),
        ({"1_Pooling/config.json": b'{"include_prompt": false}'}, "without the prompt"),
        ({"2_Dense/config.json": b'{"activation_function": "x.Mish"}'}, "activation Mish"),
        ({"2_Dense/config.json": b'{"activation_function": "x.Tanh"}'}, "after mean pooling"),
        (
            {"2_Dense/config.json": b'{"activation_function": "x.Tanh", "use_residual": true}'},
            "residual",
        ),
    ],
)
def test_a_part_that_cannot_be_done_is_refused(
    tmp_path: Path, files: dict[str, bytes], message: str
) -> None:
    """It is named, with what could be done in its place."""
    usual = {"modules.json": modules("Transformer", "Pooling", "Dense")}
    write_files(tmp_path, usual | files)
    with pytest.raises(UnsupportedModelError, match=message):
        read_facts(tmp_path)


@pytest.mark.parametrize(
    "kinds",
    [
        ("Transformer", "Normalize", "Pooling"),
        ("Transformer", "Pooling", "Normalize", "Dense"),
        ("Transformer", "Transformer", "Pooling"),
        ("Pooling", "Normalize"),
    ],
)
def test_modules_in_another_order_are_refused(tmp_path: Path, kinds: tuple[str, ...]) -> None:
    """What is computed has one order, and vectors of another one would be others."""
    write_files(tmp_path, {"modules.json": modules(*kinds)})
    order = "Supported: Transformer Pooling Dense Normalize"
    with pytest.raises(UnsupportedModelError, match=f"the order {' '.join(kinds)}.*{order}"):
        read_facts(tmp_path)


@pytest.mark.parametrize(
    ("files", "max_tokens", "file"),
    [
        ({}, 64, "config.json"),
        ({"tokenizer_config.json": {"model_max_length": 48}}, 48, "tokenizer_config.json"),
        ({"tokenizer_config.json": {"model_max_length": 10**30}}, 64, "config.json"),
        ({"sentence_bert_config.json": {"max_seq_length": 8192}}, 64, "config.json"),
        ({"sentence_bert_config.json": {"max_seq_length": None}}, 64, "config.json"),
        (
            {"sentence_roberta_config.json": {"max_seq_length": 40}},
            40,
            "sentence_roberta_config.json",
        ),
        (
            {
                "sentence_bert_config.json": {"max_seq_length": 50},
                "tokenizer_config.json": {"model_max_length": 48},
            },
            50,
            "sentence_bert_config.json",
        ),
    ],
)
def test_the_longest_text_is_what_the_files_and_the_positions_allow(
    tmp_path: Path, files: dict[str, Any], max_tokens: int, file: str
) -> None:
    """sentence-transformers' number, else the tokenizer's, and never more than the positions."""
    written = {name: json.dumps(content).encode() for name, content in files.items()}
    write_files(tmp_path, tiny_files() | written)
    facts = read_facts(tmp_path)
    assert (facts.max_tokens, facts.sources["max_tokens"]) == (max_tokens, file)


def test_nomics_older_words_are_understood(tmp_path: Path) -> None:
    """It is shown as it is run: as long as it was trained, not as long as it might be stretched."""
    config = {"model_type": "nomic_bert", "n_embd": 768, "max_trained_positions": 2048}
    config |= {"n_positions": 8192}
    lengths = {"max_seq_length": 8192}
    files = {"config.json": config, "sentence_bert_config.json": lengths}
    write_files(tmp_path, {name: json.dumps(content).encode() for name, content in files.items()})
    facts = read_facts(tmp_path)
    assert (facts.hidden_size, facts.max_tokens) == (768, 2048)


@pytest.mark.parametrize("value", [True, False, None])
def test_lower_case_is_asked_for_or_not(tmp_path: Path, value: bool | None) -> None:
    """By sentence-transformers' own file, beside whatever the tokenizer does."""
    content = json.dumps({"do_lower_case": value}).encode()
    write_files(tmp_path, {"sentence_bert_config.json": content})
    facts = read_facts(tmp_path)
    assert facts.lowercases is (value is True)
    assert ("lowercases" in facts.sources) is facts.lowercases


def modules(*kinds: str) -> bytes:
    """Write modules.json."""
    listed = [
        {"type": f"sentence_transformers.models.{kind}", "path": f"{i}_{kind}" if i else ""}
        for i, kind in enumerate(kinds)
    ]
    return json.dumps(listed).encode()


@pytest.mark.parametrize("file", ["config.json", "modules.json", "sentence_bert_config.json"])
def test_nesting_without_end_is_refused(tmp_path: Path, file: str) -> None:
    """One folder's file must not fail the whole catalog."""
    write_files(tmp_path, tiny_files() | {file: b"[" * 100_000})
    with pytest.raises(UnsupportedModelError, match="is not JSON"):
        read_facts(tmp_path)


@pytest.mark.parametrize("path", ["../other", "/etc", "1_Pooling/../../other"])
def test_a_module_lies_below_the_model(tmp_path: Path, path: str) -> None:
    """Nothing else on the disk is read for it."""
    modules = [{"type": "sentence_transformers.models.Pooling", "path": path}]
    write_files(tmp_path, tiny_files() | {"modules.json": json.dumps(modules).encode()})
    with pytest.raises(UnsupportedModelError, match="folders below the model's own"):
        read_facts(tmp_path)


@pytest.mark.parametrize("mode", [5, True, {}, [], [{}], [["mean"]]])
def test_a_pooling_of_no_known_form_is_refused(tmp_path: Path, mode: Any) -> None:
    """Whatever JSON it is."""
    content = json.dumps({"pooling_mode": mode}).encode()
    write_files(tmp_path, {"1_Pooling/config.json": content})
    with pytest.raises(UnsupportedModelError, match="which satsuma does not do"):
        read_facts(tmp_path)


@pytest.mark.parametrize("value", [10**18, 10**400, -1, 0, True, "16", 1.5, None, [16]])
def test_a_number_that_no_model_has_tells_nothing(tmp_path: Path, value: Any) -> None:
    """The catalog shows these numbers, and JSON has no room for some of them."""
    keys = ("hidden_size", "max_position_embeddings")
    write_files(tmp_path, {"config.json": json.dumps(dict.fromkeys(keys, value)).encode()})
    facts = read_facts(tmp_path)
    assert (facts.hidden_size, facts.max_tokens) == (0, 0)


def test_a_message_can_be_sent_whatever_the_file_says(tmp_path: Path) -> None:
    """A lone surrogate is text to JSON's readers, and to its writers an error."""
    modules = [{"type": "sentence_transformers.models.\ud800"}]
    write_files(tmp_path, {"modules.json": json.dumps(modules).encode()})
    with pytest.raises(UnsupportedModelError) as caught:
        read_facts(tmp_path)
    assert str(caught.value).encode()


def test_a_name_that_is_too_long_is_refused(tmp_path: Path) -> None:
    """The file system says so, in its own way."""
    modules = [{"type": "sentence_transformers.models.Pooling", "path": "x" * 5_000}]
    write_files(tmp_path, {"modules.json": json.dumps(modules).encode()})
    with pytest.raises(UnsupportedModelError, match="cannot be read: File name too long"):
        read_facts(tmp_path)
