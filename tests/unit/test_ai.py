"""The Worker's call in this process, for every kind of model."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.kinds import GEMMA, M3, PLAIN_RERANKER, QWEN3, RERANKER, load_kind, write_kinds

from satsuma.ai import Ai
from satsuma.errors import (
    ConfigurationError,
    ContextExceededError,
    InvalidInputError,
    ModelNotFoundError,
)
from satsuma.items import answer_alone
from satsuma.settings import Settings
from satsuma.store.manifest import ModelFiles
from satsuma.types import EmbedRequest

CONTEXTS = ({"text": "bamboo"}, {"text": "a llama"})


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory: pytest.TempPathFactory, all_minilm_files: ModelFiles) -> Path:
    """A folder with a model of each kind."""
    folder = tmp_path_factory.mktemp("kinds")
    return write_kinds(folder, all_minilm_files.folder / "tokenizer.json")


@pytest.fixture
def ai(models_dir: Path) -> Iterator[Ai]:
    """The call, over that folder."""
    with Ai(models_dir=models_dir, threads=1) as one:
        yield one


def test_text_encoders_of_other_kinds(ai: Ai, models_dir: Path) -> None:
    """Each with the members of its answers over HTTP, and vectors as an array."""
    keys = {
        M3: ["data", "shape", "pooling", "response", "meta"],
        QWEN3: ["data", "shape", "usage"],
        GEMMA: ["shape", "data"],
    }
    for model, expected in keys.items():
        answer = ai.run(model, {"text": ("hello", "world")})
        assert list(answer) == expected
        assert answer["shape"] == [2, 36]
        request = EmbedRequest(model, ("hello", "world"))
        loaded = load_kind(Settings(models_dir=models_dir, threads=1), model)
        np.testing.assert_array_equal(answer["data"], answer_alone(request, loaded))


@pytest.mark.parametrize("model", [RERANKER, PLAIN_RERANKER, M3])
def test_scores_beside_a_query(ai: Ai, model: str) -> None:
    """Of a classifier, listed or not, and of an encoder; sequences and mappings of any type."""
    answer = ai.run(model, {"query": "pandas?", "contexts": CONTEXTS})
    assert {one["id"] for one in answer["response"]} == {0, 1}
    assert all(type(one["score"]) is float for one in answer["response"])


@pytest.mark.parametrize(
    ("model", "inputs", "error"),
    [
        (RERANKER, {"text": "a"}, InvalidInputError),
        (RERANKER, {"query": "\ud800", "contexts": CONTEXTS}, InvalidInputError),
        (M3, {"text": "word " * 300}, ContextExceededError),
        (M3, {"requests": [{"text": "a"}]}, ConfigurationError),
        (GEMMA, {"text": "a", "prompt_name": "poem"}, InvalidInputError),
        ("@local/none", {"text": "a"}, ModelNotFoundError),
        ("@cf/acme/none", {"text": "a"}, ModelNotFoundError),
    ],
)
def test_refusals_are_exceptions(
    ai: Ai, model: str, inputs: dict[str, Any], error: type[Exception]
) -> None:
    """Those that the errors' page has."""
    with pytest.raises(error):
        ai.run(model, inputs)


def test_queries_of_many_threads_are_told_apart(ai: Ai) -> None:
    """Whether a caller's own thread ran them or a lane did: each gets its own text's vector."""
    texts = [f"{number} pandas" for number in range(8)]
    alone = {text: ai.run(QWEN3, {"text": text})["data"] for text in texts}

    def ask(text: str) -> bool:
        answers = (ai.run(QWEN3, {"text": text})["data"] for _ in range(20))
        return all(np.array_equal(answer, alone[text]) for answer in answers)

    with ThreadPoolExecutor(len(texts)) as threads:
        assert all(threads.map(ask, texts))


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="signals at a moment are POSIX's")
def test_a_signal_handler_is_told_that_it_may_not_ask(ai: Ai) -> None:
    """Where it has interrupted the engine: it would wait for itself."""
    answers: list[object] = []

    def ask(_number: int, _frame: object) -> None:
        try:
            answers.append(ai.run(QWEN3, {"text": "later"}))
        except ConfigurationError as error:
            answers.append(str(error))

    ai.run(QWEN3, {"text": "first"})
    before = signal.signal(signal.SIGALRM, ask)
    try:
        for _ in range(200):
            signal.setitimer(signal.ITIMER_REAL, 200e-6)
            ai.run(QWEN3, {"text": "a text"})
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert any("signal handler" in str(answer) for answer in answers)
