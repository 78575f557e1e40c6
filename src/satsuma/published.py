"""Does a loaded model answer what others published of it? For `satsuma models verify`.

The self-test of each load asks the same of the vectors that are certain, and serves no model that
gives others (`engine/self_test.py`); here all of it is compared, scores too, and told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from satsuma.engine.load import LoadedModel
from satsuma.engine.self_test import TOLERANCE
from satsuma.items import answer_alone
from satsuma.store.catalog import Catalog
from satsuma.store.manifest import PublishedScores, PublishedVector
from satsuma.types import EmbedRequest, FloatArray

SCORE_TOLERANCE = 1e-2  # published scores come from 16-bit arithmetic


@dataclass(frozen=True, slots=True)
class Comparison:
    """One published answer beside satsuma's.

    Attributes:
        asked: the text, or the query.
        source: who published it.
        difference: the largest of all its numbers.
        is_equal: whether that is within the tolerance.
        is_certain: whether a difference would prove anything.
    """

    asked: str
    source: str
    difference: float
    is_equal: bool
    is_certain: bool

    def describe(self) -> str:
        """Say it in words."""
        doubt = "" if self.is_certain else ", of which there is a doubt"
        return f"{self.asked!r} differs by {self.difference:.1e} from {self.source}{doubt}"


def is_published(catalog: Catalog, model: str) -> bool:
    """Tell whether there is anything to compare a model with."""
    return bool(catalog.published_vectors(model) or catalog.published_scores(model))


def compare_published(model: LoadedModel, catalog: Catalog) -> tuple[Comparison, ...]:
    """Compare all that was published of a model with what it gives, in fp32."""
    vectors = (_compare_vector(model, one) for one in catalog.published_vectors(model.id))
    scores = (_compare_scores(model, one) for one in catalog.published_scores(model.id))
    return (*vectors, *scores)


def _compare_vector(model: LoadedModel, expected: PublishedVector) -> Comparison:
    text = expected.prompt + expected.text
    request = EmbedRequest(model.id, (text,), expected.pooling, prompt_name="")
    actual = answer_alone(request, model)[0, : len(expected.first)]
    difference = _largest_difference(actual, expected.first)
    is_equal = difference <= TOLERANCE
    return Comparison(text, expected.source, difference, is_equal, expected.is_certain)


def _compare_scores(model: LoadedModel, expected: PublishedScores) -> Comparison:
    request = EmbedRequest(model.id, expected.texts, query=expected.query)
    actual = answer_alone(request, model)[:, 0]
    difference = _largest_difference(actual, expected.scores)
    is_equal = difference <= SCORE_TOLERANCE
    return Comparison(expected.query, expected.source, difference, is_equal, expected.is_certain)


def _largest_difference(actual: FloatArray, expected: Sequence[float]) -> float:
    return float(np.abs(actual - np.array(expected)).max())


def count_equal(comparisons: Sequence[Comparison]) -> int:
    """Count those that are as published."""
    return sum(one.is_equal for one in comparisons)
