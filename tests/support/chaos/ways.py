"""The routes by which texts can be asked for, and what each answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from satsuma.types import FloatArray


@dataclass(frozen=True, slots=True)
class Way:
    """One route.

    Attributes:
        path: of a model.
        body: of a model and texts.
        read: a decoded answer's vectors, (N, H), or scores, (N - 1,); raises TypeError, LookupError
            or ValueError where it is not as documented.
        expect: the same, of the texts' vectors.
        headers: of a model, beside the usual ones.
        least: so many texts are asked for at least.
    """

    path: Callable[[str], str]
    body: Callable[[str, Sequence[str]], Any]
    read: Callable[[Any], FloatArray]
    expect: Callable[[FloatArray], FloatArray] = lambda vectors: vectors
    headers: Callable[[str], Mapping[str, str]] = lambda _: {}
    least: int = 1


def read_result(result: Any) -> FloatArray:
    """Read a model's bare answer.

    Raises:
        TypeError, LookupError, ValueError: if it is none, or not of the shape that it says.
    """
    vectors = np.array(result["data"], dtype=np.float32)
    if result["shape"] != list(vectors.shape):
        raise ValueError(result["shape"])
    return vectors


def _read_openai(answer: Any) -> FloatArray:
    if [one["index"] for one in answer["data"]] != list(range(len(answer["data"]))):
        raise ValueError("another order")
    return np.array([one["embedding"] for one in answer["data"]], dtype=np.float32)


def _read_scores(answer: Any) -> FloatArray:
    """Read the documents' scores, in the documents' order."""
    found = [(one["index"], one["relevance_score"]) for one in answer["results"]]
    scores = [score for _, score in sorted(found)]
    is_each = sorted(index for index, _ in found) == list(range(len(found)))
    if not is_each or [score for _, score in found] != sorted(scores, reverse=True):
        raise ValueError("not in the order of their scores")
    return np.array(scores, dtype=np.float32)


def _cosines(vectors: FloatArray) -> FloatArray:
    """Compare the first with the others, as an encoder scores documents."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines: FloatArray = unit[1:] @ unit[0]
    return cosines


RUN: Final = Way(
    lambda model: f"/client/v4/accounts/chaos/ai/run/{model}",
    lambda _, texts: {"text": texts},
    lambda answer: read_result(answer["result"]),
)
BINDING: Final = Way(
    lambda _: "/run?version=3",
    lambda _, texts: {"inputs": {"text": texts}, "options": {}},
    read_result,
    headers=lambda model: {"cf-consn-model-id": model},
)
OPENAI: Final = Way(
    lambda _: "/v1/embeddings",
    lambda model, texts: {"model": model, "input": texts},
    _read_openai,
)
RERANK: Final = Way(
    lambda _: "/v1/rerank",
    lambda model, texts: {"model": model, "query": texts[0], "documents": texts[1:]},
    _read_scores,
    _cosines,
    least=2,
)
WAYS: Final = (RUN, BINDING, OPENAI, RERANK)
