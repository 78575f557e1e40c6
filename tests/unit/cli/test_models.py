from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from support.families import write_family
from support.models import tiny_files, tiny_manifest, write_files

from satsuma.cli.models import models
from satsuma.errors import (
    ConfigurationError,
    ModelNotInstalledError,
    SelfTestError,
    UnsupportedModelError,
)
from satsuma.store import local
from satsuma.store.catalog import bundled_catalog
from satsuma.store.local import ModelStore
from satsuma.store.manifest import ModelFiles, PublishedVector
from satsuma.store.record import new_record, write_record
from satsuma.types import Pooling

MINILM = "@hf/sentence-transformers/all-minilm-l6-v2"
TINY = "@hf/acme/tiny"


@pytest.fixture
def models_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A models' folder that has `@hf/acme/tiny` and `@local/mine`."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "models"
    pulled = write_files(folder / "hf" / "acme" / "tiny", tiny_files())
    manifest = tiny_manifest(tiny_files(), "0" * 40, model_id=TINY)
    write_record(pulled, new_record(manifest, "hub https://huggingface.co"))
    write_files(folder / "mine", tiny_files(1))
    return folder


def run(models_dir: Path, *arguments: str) -> Result:
    """Run `satsuma models ...`."""
    return CliRunner().invoke(models, [*arguments, "--models-dir", str(models_dir)])


def test_list_is_a_table(models_dir: Path) -> None:
    """One heading, one line a model, columns aligned."""
    lines = run(models_dir, "list").stdout.splitlines()
    assert lines[0].split("  ")[0] == "ID"
    assert len(lines) == 1 + 8 + 2
    status_column = lines[0].index("STATUS")
    assert [line[status_column:] for line in lines[1:]] == [
        *["not installed"] * 7,
        "installed (package)",
        "installed",
        "local folder",
    ]


def test_list_as_json_has_what_the_table_has(models_dir: Path) -> None:
    """A script reads ids, limits and states."""
    rows = json.loads(run(models_dir, "list", "--json").stdout)
    assert [row["id"] for row in rows][-1] == "@local/mine"
    base = next(row for row in rows if row["id"] == "@cf/baai/bge-base-en-v1.5")
    assert (base["dimensions"], base["max_tokens"], base["pooling"]) == (768, 512, "mean")
    assert (base["state"], base["folder"]) == ("not installed", None)


def test_info_shows_folder_and_digests(models_dir: Path) -> None:
    """One line a fact, one line a file; what is unknown is left out."""
    output = run(models_dir, "info", MINILM).stdout
    assert "revision: 1110a243fdf4706b3f48f1d95db1a4f5529b4d41" in output
    assert "file: model.safetensors 90868376 53aa51172d142c89" in output
    assert "revision:" not in run(models_dir, "info", "local/mine").stdout


def test_info_shows_what_would_run_it(models_dir: Path) -> None:
    """Engine, device and precision, as the settings in force have them."""
    lines = run(models_dir, "info", MINILM).stdout.splitlines()
    assert [line for line in lines if line.startswith("runs on: ") and line.endswith(", in fp32")]
    engine = json.loads(run(models_dir, "info", MINILM, "--json").stdout)["engine"]
    assert (engine["device"], engine["precision"]) == ("auto", "fp32")


def test_info_shows_what_the_files_decide(models_dir: Path, all_minilm_files: ModelFiles) -> None:
    """Each decision with the file that it came from; nothing of a model that is not here."""
    tokenizer_json = all_minilm_files.folder / "tokenizer.json"
    write_family(models_dir / "gemma", "gemma3", tokenizer_json)
    lines = run(models_dir, "info", "@local/gemma").stdout.splitlines()
    assert "config.json: model_type gemma3_text" in lines
    assert "1_Pooling/config.json: pooling mean" in lines
    assert "sentence_bert_config.json: max_tokens 100" in lines
    assert "modules.json: dense_layers 2_Dense, 3_Dense" in lines
    assert [line for line in lines if line.startswith("config_sentence_transformers.json: prompts")]
    shown = json.loads(run(models_dir, "info", "@local/gemma", "--json").stdout)
    assert shown["decided"]["is_normalized"] == {"value": True, "file": "modules.json"}
    bge = run(models_dir, "info", "@cf/baai/bge-base-en-v1.5", "--json").stdout
    assert json.loads(bge)["decided"] == {}


def test_info_shows_what_no_file_decides(models_dir: Path, all_minilm_files: ModelFiles) -> None:
    """And a no as well as a yes; of a classifier, nothing about vectors."""
    shown = run(models_dir, "info", "@local/mine").stdout
    assert "by default: pooling mean" in shown
    assert "by default: is_normalized True" in shown
    tokenizer_json = all_minilm_files.folder / "tokenizer.json"
    bare = write_family(models_dir / "bare", "qwen3", tokenizer_json)
    listed = json.loads((bare / "modules.json").read_text())
    (bare / "modules.json").write_text(json.dumps(listed[:-1]))
    assert "modules.json: is_normalized False" in run(models_dir, "info", "@local/bare").stdout
    write_family(models_dir / "pairs", "xlm_roberta_classifier", tokenizer_json)
    assert "by default:" not in run(models_dir, "info", "@local/pairs").stdout


def test_info_shows_what_a_catalog_decides(models_dir: Path, all_minilm_files: ModelFiles) -> None:
    """Against the model's own files, but for a text that is longer than its positions."""
    tokenizer_json = all_minilm_files.folder / "tokenizer.json"
    for name, max_tokens in (("short", 90), ("long", 9_000)):
        folder = write_family(models_dir / name, "qwen3", tokenizer_json)
        (folder / "sentence_bert_config.json").unlink()
        with (models_dir / "catalog.toml").open("a") as catalog:
            catalog.write(
                f'[[model]]\nid = "@local/{name}"\nrepository = ""\nrevision = ""\n'
                f'max_tokens = {max_tokens}\npooling = "mean"\n'
                '[[model.file]]\npath = "config.json"\n'
            )
    short, long = (run(models_dir, "info", f"@local/{name}").stdout for name in ("short", "long"))
    assert "catalog.toml: pooling mean" in short
    assert "catalog.toml: max_tokens 90" in short
    assert "config.json: max_tokens 128" in long


def test_info_as_json(models_dir: Path) -> None:
    """The same facts."""
    shown = json.loads(run(models_dir, "info", MINILM, "--json").stdout)
    assert shown["id"] == MINILM
    assert len(shown["files"]) == 7


def test_verify_names_one_model(models_dir: Path) -> None:
    """Every file is read."""
    assert run(models_dir, "verify", TINY).stdout == (
        f"{TINY}: 3 files, 0.3 MB, all as published\n"
    )


def test_verify_claims_no_digests_that_nobody_published(models_dir: Path) -> None:
    """Those that a catalog leaves out were learnt at the pull."""
    (models_dir / "catalog.toml").write_text(
        f'[[model]]\nid = "{TINY}"\nrepository = "acme/tiny"\nrevision = "{"0" * 40}"\n'
        '[[model.file]]\npath = "config.json"\n'
    )
    line = run(models_dir, "verify", TINY).stdout
    assert line == f"{TINY}: 1 files, 0.0 MB, as pulled; nobody published 1 digests\n"


def test_verify_takes_all_that_are_here(models_dir: Path) -> None:
    """Without an id, models that are not installed are left out."""
    lines = run(models_dir, "verify").stdout.splitlines()
    assert [line.split(":")[0] for line in lines] == [MINILM, TINY, "@local/mine"]
    assert lines[-1].endswith("readable; nobody published their digests")


def test_verify_compares_published_answers(models_dir: Path) -> None:
    """Of a model that has some; or not, where only the files are asked for."""
    (line,) = run(models_dir, "verify", MINILM).stdout.splitlines()
    assert line.endswith("all as published; 1 of 1 published answers are the same")
    (line,) = run(models_dir, "verify", "--files-only", MINILM).stdout.splitlines()
    assert line.endswith("all as published")


def test_verify_says_what_is_not_here(models_dir: Path) -> None:
    """Beside the output, so that a script reads what was verified alone."""
    result = run(models_dir, "verify", "--files-only")
    assert "not here, so not compared: @cf/baai/bge-small-en-v1.5, " in result.stderr
    assert MINILM not in result.stderr
    away = run(models_dir, "verify", "@cf/baai/bge-m3")
    assert isinstance(away.exception, ModelNotInstalledError)


WRONG = PublishedVector("hello", Pooling.MEAN, (0.5, 0.5), "a paper")
DOUBTFUL = replace(WRONG, text="world", is_certain=False)


def publish(monkeypatch: pytest.MonkeyPatch, *vectors: PublishedVector) -> None:
    """Let these be what somebody published of all-MiniLM."""
    catalog = replace(bundled_catalog(), vectors={MINILM: vectors})
    monkeypatch.setattr(local, "load_catalog", lambda _: catalog)


def test_verify_tells_a_difference(models_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each on a line of its own; one that is certain fails the command."""
    publish(monkeypatch, DOUBTFUL)
    result = run(models_dir, "verify", MINILM)
    first, second = result.stdout.splitlines()
    assert first.endswith("; 0 of 1 published answers are the same")
    assert second.startswith("  'world' differs by ")
    assert second.endswith(" from a paper, of which there is a doubt")
    assert result.exit_code == 0
    publish(monkeypatch, DOUBTFUL, WRONG)
    result = run(models_dir, "verify", MINILM)
    assert isinstance(result.exception, SelfTestError)
    assert len(result.stdout.splitlines()) == 3


def test_add_makes_a_model_of_a_folder(
    models_dir: Path, tmp_path: Path, all_minilm_files: ModelFiles
) -> None:
    """Its name is the folder's, unless another is given."""
    tokenizer_json = all_minilm_files.folder / "tokenizer.json"
    theirs = write_family(tmp_path / "theirs", "gemma3", tokenizer_json)
    linked = run(models_dir, "add", str(theirs)).stdout
    assert linked == f"added @local/theirs (36 dimensions), linked as {models_dir / 'theirs'}\n"
    reranker = write_family(tmp_path / "r", "xlm_roberta_classifier", tokenizer_json)
    copied = run(models_dir, "add", "--copy", "--name", "pairs", str(reranker)).stdout
    assert copied == f"added @local/pairs (scores), copied to {models_dir / 'pairs'}\n"
    assert "@local/pairs" in run(models_dir, "list").stdout
    assert "config.json: gives_scores True" in run(models_dir, "info", "@local/pairs").stdout


def test_add_checks_the_folder_first(models_dir: Path, tmp_path: Path) -> None:
    """Noise in the place of weights is no model."""
    noise = write_files(tmp_path / "noise", tiny_files())
    result = run(models_dir, "add", str(noise))
    assert isinstance(result.exception, UnsupportedModelError)
    assert not (models_dir / "noise").exists()


def test_pull_of_a_model_that_is_here_says_so(models_dir: Path) -> None:
    """No network is needed."""
    output = run(models_dir, "pull", TINY, MINILM).stdout
    assert output.splitlines() == [
        f"{TINY} is here already, all as published (0.3 MB)",
        f"{MINILM} is here already, all as published (91 MB)",
    ]


def test_remove_needs_a_yes_without_a_terminal(models_dir: Path) -> None:
    """A script that does not say --yes removes nothing."""
    result = run(models_dir, "remove", TINY)
    assert isinstance(result.exception, ConfigurationError)
    assert ModelStore(models_dir).resolve(TINY)


def test_remove_with_yes(models_dir: Path) -> None:
    """The folder is gone, and the answer says which."""
    result = run(models_dir, "remove", "--yes", TINY)
    assert result.stdout == f"removed {TINY} from {models_dir / 'hf' / 'acme' / 'tiny'}\n"
    again = run(models_dir, "remove", "--yes", TINY)
    assert isinstance(again.exception, ModelNotInstalledError)


@pytest.mark.parametrize("command", ["list", "pull", "info", "add", "verify", "remove"])
def test_help_has_examples(command: str) -> None:
    """Each page shows at least one call, on a line of its own."""
    result = CliRunner().invoke(models, [command, "--help"])
    assert f"\n    satsuma models {command}" in result.stdout


def test_folder_comes_from_the_settings(models_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable does what the flag does."""
    monkeypatch.setenv("SATSUMA_MODELS_DIR", str(models_dir))
    assert TINY in CliRunner().invoke(models, ["list"]).stdout
