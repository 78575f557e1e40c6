"""`satsuma embed` with models that have prompts, and with one that gives no vectors."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from support.kinds import GEMMA, MAX_TOKENS, RERANKER, load_kind, write_kinds

from satsuma.cli.embed import embed
from satsuma.errors import ConfigurationError, InvalidInputError
from satsuma.items import answer_alone
from satsuma.settings import Settings
from satsuma.store.manifest import ModelFiles
from satsuma.types import EmbedRequest

TEXTS = ["bamboo, mostly", "the weather is sunny"]
DOCUMENT = "title: none | text: "
Embed = Callable[..., Result]


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory: pytest.TempPathFactory, all_minilm_files: ModelFiles) -> Path:
    """A folder with a model of each kind."""
    folder = tmp_path_factory.mktemp("kinds")
    return write_kinds(folder, all_minilm_files.folder / "tokenizer.json")


@pytest.fixture
def run(models_dir: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Embed:
    """Embed two lines of text in this process."""
    monkeypatch.chdir(tmp_path)
    Path("in.txt").write_text("\n".join(TEXTS), encoding="utf-8")

    def run(*arguments: str, model: str = GEMMA) -> Result:
        wanted = ["in.txt", "out.npy", "--model", model, "--models-dir", str(models_dir)]
        return CliRunner().invoke(embed, [*wanted, *arguments], catch_exceptions=False)

    return run


def report_of(result: Result) -> dict[str, Any]:
    """The last line."""
    assert result.exit_code == 0, result.output
    report: dict[str, Any] = json.loads(result.output.splitlines()[-1])
    return report


@pytest.mark.parametrize(
    ("arguments", "prompt"),
    [((), ""), (("--prompt-name", "document"), DOCUMENT), (("--prompt-name", ""), "")],
)
def test_a_models_own_prompt_comes_before_each_text(
    run: Embed, models_dir: Path, arguments: tuple[str, ...], prompt: str
) -> None:
    """The one that is named, or the usual one, of which this model has none; the output says so."""
    run(*arguments)
    request = EmbedRequest(GEMMA, tuple(prompt + text for text in TEXTS), prompt_name="")
    expected = answer_alone(request, load_kind(Settings(models_dir=models_dir), GEMMA))
    np.testing.assert_array_equal(np.load("out.npy"), expected)
    told = json.loads(Path("out.npy.meta.json").read_bytes())
    assert told.get("prompt", "") == prompt


def test_an_estimate_counts_the_prompts(run: Embed) -> None:
    """As the run itself does."""
    named = ("--prompt-name", "document")
    estimated = report_of(run("--dry-run", *named))["tokens"]
    assert estimated == report_of(run(*named))["tokens"]
    assert estimated > report_of(run("--dry-run"))["tokens"]


def test_a_chunk_leaves_room_for_its_prompt(run: Embed) -> None:
    """So that the model reads it whole."""
    report_of(run("--chunk", str(MAX_TOKENS)))
    room = MAX_TOKENS - len(["title", ":", "none", "|", "text", ":"])
    with pytest.raises(ConfigurationError, match=f"--chunk must be from 3 to {room}, "):
        run("--prompt-name", "document", "--chunk", str(MAX_TOKENS), "--overwrite")


@pytest.mark.parametrize(
    ("model", "arguments", "message"),
    [
        (GEMMA, ("--prompt-name", "poem"), "has no prompt 'poem'; it has query, document"),
        (RERANKER, (), "scores texts beside a query and gives no vectors"),
    ],
)
def test_what_a_model_does_not_do_is_refused_first(
    run: Embed, model: str, arguments: tuple[str, ...], message: str
) -> None:
    """Before anything is read or written."""
    with pytest.raises(InvalidInputError, match=message):
        run(*arguments, model=model)
    assert sorted(path.name for path in Path().iterdir()) == ["in.txt"]
