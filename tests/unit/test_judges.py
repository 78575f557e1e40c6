"""What chaos and soak judge by: does it see what is wrong?"""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import pytest
from support.chaos.client import Reply
from support.chaos.oracle import Fate, Oracle, Outcome, Question, Tally, make_texts
from support.chaos.trends import Series, slope

REFUSED = {"errors": [{"code": 3040, "message": "Capacity"}]}


@pytest.fixture
def oracle() -> Oracle:
    """Texts whose vectors are all different."""
    texts = make_texts(0)
    vectors = np.random.default_rng(0).normal(size=(len(texts), 8)).astype(np.float32)
    return Oracle("@local/any", texts, vectors)


def answer(rows: np.ndarray[Any, Any], status: int = 200) -> Reply:
    """An answer of these rows."""
    result = {"shape": list(rows.shape), "data": rows.tolist(), "pooling": "mean"}
    return Reply(status, {}, json.dumps({"result": result}).encode())


def test_texts_are_distinct() -> None:
    """Else another's vector could pass for one's own."""
    assert len(set(make_texts(5))) == len(make_texts(5))


def test_right_vectors_are_right(oracle: Oracle) -> None:
    """In the order of the texts."""
    question = oracle.draw(random.Random(1))  # noqa: S311 - no secret
    assert oracle.judge(question, answer(oracle.vectors[list(question.numbers)])) is Fate.RIGHT


def test_anothers_vector_is_wrong(oracle: Oracle) -> None:
    """Also where it is one of the request's own, in another place."""
    question = Question((3, 4), b"")
    for numbers in ([4, 3], [3, 5], [3], [3, 4, 5]):
        assert oracle.judge(question, answer(oracle.vectors[numbers])) is Fate.WRONG


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"result": {"data": [[null]]}}'])
def test_no_vectors_are_wrong(oracle: Oracle, body: bytes) -> None:
    """Whatever stands in their place."""
    assert oracle.judge(Question((3,), b""), Reply(200, {}, body)) is Fate.WRONG


@pytest.mark.parametrize(
    ("status", "headers", "fate"),
    [
        (429, {"retry-after": "2"}, Fate.REFUSED),
        (429, {}, Fate.WRONG),
        (429, {"retry-after": "0"}, Fate.WRONG),
        (429, {"retry-after": "soon"}, Fate.WRONG),
        (503, {"retry-after": "1"}, Fate.STOPPING),
        (500, {}, Fate.WRONG),
        (302, {}, Fate.WRONG),
    ],
)
def test_refusals_have_to_be_documented(
    oracle: Oracle, status: int, headers: dict[str, str], fate: Fate
) -> None:
    """Status, code, and when to come again."""
    reply = Reply(status, headers, json.dumps(REFUSED).encode())
    assert oracle.judge(Question((3,), b""), reply) is fate


def test_tallies_add_up() -> None:
    """Counts, latencies and what was seen."""
    tally, other = Tally(), Tally()
    tally.note(Outcome(Fate.RIGHT, 0.0, 0.5, num_bytes=10))
    other.note(Outcome(Fate.CUT, 7.0, 0.1, "reset", num_bytes=20))
    tally.add(other)
    assert (tally.num_requests, tally.counts[Fate.CUT], tally.cuts_s) == (2, 1, [7.0])
    assert tally.num_bytes == {Fate.RIGHT: 10, Fate.CUT: 20}
    assert tally.shown[Fate.CUT] == ["reset"]
    assert tally.percentile_s(100) == 0.5


def test_a_slope_is_seen_through_noise_and_outliers() -> None:
    """A tenth of the points may be anything."""
    noise = np.random.default_rng(0)
    times_s = np.arange(300.0)
    values = 5.0 + 0.25 * times_s + noise.normal(size=300)
    values[::10] = 1e6
    assert slope(times_s.tolist(), values.tolist()) == pytest.approx(0.25, abs=0.01)


def test_a_flat_series_does_not_grow() -> None:
    """And what happens at first does not count."""
    series = Series([float(n) for n in range(100)], [50.0] * 10 + [100.0] * 90)
    assert series.growth() == 0.0
    assert Series().growth() == 0.0
