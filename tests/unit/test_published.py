"""Published answers beside a model's own."""

from __future__ import annotations

import pytest
from support.kinds import GEMMA, M3, RERANKER, load_kind, write_kinds

from satsuma.engine.load import LoadedModel
from satsuma.items import answer_alone
from satsuma.published import compare_published, count_equal, is_published
from satsuma.settings import Settings
from satsuma.store.catalog import Catalog
from satsuma.store.manifest import ModelFiles, PublishedScores, PublishedVector
from satsuma.types import EmbedRequest, Pooling

TEXTS = ("bamboo, mostly", "the weather")
PROMPT = "task: search result | query: "


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory, all_minilm_files: ModelFiles) -> Settings:
    """Of a folder with a model of each kind."""
    folder = tmp_path_factory.mktemp("kinds")
    write_kinds(folder, all_minilm_files.folder / "tokenizer.json")
    return Settings(models_dir=folder, threads=1)


def vector_of(model: LoadedModel, pooling: Pooling, prompt: str = "") -> PublishedVector:
    """What somebody would have published of it."""
    request = EmbedRequest(model.id, (f"{prompt}hello",), prompt_name="")
    first = answer_alone(request, model)[0, :4].astype(float)
    return PublishedVector("hello", pooling, tuple(first), "a paper", prompt=prompt)


def scores_of(model: LoadedModel, *, plus: float = 0.0) -> PublishedScores:
    """The same of its scores; or some that differ by so much."""
    request = EmbedRequest(model.id, TEXTS, query="pandas?")
    scores = answer_alone(request, model)[:, 0].astype(float) + plus
    return PublishedScores("pandas?", TEXTS, tuple(scores), "a page", is_certain=False)


def test_the_same_answers_are_found_equal(settings: Settings) -> None:
    """Vectors behind a prompt, an encoder's scores, and a classifier's."""
    gemma, m3 = load_kind(settings, GEMMA), load_kind(settings, M3)
    reranker = load_kind(settings, RERANKER)
    catalog = Catalog(
        vectors={GEMMA: (vector_of(gemma, Pooling.MEAN, PROMPT), vector_of(gemma, Pooling.MEAN))},
        scores={M3: (scores_of(m3),), RERANKER: (scores_of(reranker),)},
    )
    for model, num_published in ((gemma, 2), (m3, 1), (reranker, 1)):
        comparisons = compare_published(model, catalog)
        assert (len(comparisons), count_equal(comparisons)) == (num_published, num_published)


def test_a_difference_is_told(settings: Settings) -> None:
    """How large it is, whose answer it is, and whether there is a doubt about that."""
    reranker = load_kind(settings, RERANKER)
    catalog = Catalog(scores={RERANKER: (scores_of(reranker, plus=0.25),)})
    (one,) = compare_published(reranker, catalog)
    assert not one.is_equal
    expected = "'pandas?' differs by 2.5e-01 from a page, of which there is a doubt"
    assert one.describe() == expected


def test_of_most_models_nothing_was_published() -> None:
    """Then there is nothing to load one for."""
    catalog = Catalog(scores={M3: (PublishedScores("q", ("t",), (0.5,), "a page"),)})
    assert is_published(catalog, M3)
    assert not is_published(catalog, RERANKER)
