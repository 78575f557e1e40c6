"""What chaos and soak judge by: does it see what is wrong?"""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import pytest
from support.chaos.client import Reply
from support.chaos.oracle import Fate, Oracle, Outcome, Question, Tally, make_texts
from support.chaos.soak import GROWTH_S, GROWTH_SHARE
from support.chaos.trends import Series, slope, trend
from support.chaos.ways import BINDING, OPENAI, RERANK, RUN, WAYS, Way

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


def latencies(seed: int, grown_s: float = 0.0) -> Series:
    """An hour of answers around 9 ms, many of them late, that get slower from start to end."""
    dice = np.random.default_rng(seed)
    times_s = np.sort(dice.uniform(0.0, 3600.0, 20_000))
    seconds = dice.lognormal(np.log(0.009), 0.5, len(times_s)) + grown_s * times_s / 3600.0
    seconds[dice.random(len(times_s)) < 0.02] += 0.5
    return Series(times_s.tolist(), seconds.tolist())


def has_slowed(series: Series) -> bool:
    """Judge as the soak does."""
    return series.has_grown(floor=GROWTH_S, share=GROWTH_SHARE)


@pytest.mark.parametrize("seed", range(10))
def test_noise_is_no_growth(seed: int) -> None:
    """And neither is what a fiftieth of the answers wait besides."""
    series = latencies(seed)
    assert not has_slowed(series)
    assert abs(series.trend().growth) < 0.001


@pytest.mark.parametrize("seed", range(3))
def test_latency_that_nearly_doubles_is_found(seed: int) -> None:
    """Of what is lost with the first part nothing is missed."""
    series = latencies(seed, grown_s=0.012)
    assert has_slowed(series)
    found = series.trend()
    assert found.growth == pytest.approx(0.7 * 0.012, abs=4 * found.error)


def test_a_sure_growth_may_be_too_small_to_matter() -> None:
    """By the floor, and by the share of the median."""
    series = latencies(0, grown_s=0.004)
    assert series.trend().is_sure
    assert not has_slowed(series)
    assert series.has_grown(floor=0.001, share=0.1)
    assert not series.has_grown(floor=0.001, share=0.5)


def test_a_large_growth_may_be_chance() -> None:
    """Where it goes up and down by more."""
    values = [0.01, 0.01, 0.2] * 8 + [0.01] * 6 + [0.2] * 6
    series = Series([float(n) for n in range(len(values))], values)
    assert series.trend().growth > max(GROWTH_S, GROWTH_SHARE * series.median)
    assert not has_slowed(series)


def test_too_little_is_no_trend() -> None:
    """Nothing, one point, and two."""
    for num_points in range(3):
        assert not trend([0.0, 1.0][:num_points], [0.0, 9.0][:num_points]).is_sure


def test_a_line_without_noise_is_sure() -> None:
    """And what it grew by is exact; downwards it is no growth."""
    times_s = [float(n) for n in range(48)]
    up, down = trend(times_s, times_s), trend(times_s, times_s[::-1])
    assert up.growth == pytest.approx(47.0)
    assert down.growth == pytest.approx(-47.0)
    assert (up.is_sure, down.is_sure) == (True, False)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.path("x"))
def test_each_route_is_judged_by_value(oracle: Oracle, way: Way) -> None:
    """As it is documented to answer; another's vectors, and another route's answer, are wrong."""
    question = oracle.question([4, 8, 6], way)
    fates = {other: oracle.judge(question, written(oracle, [4, 8, 6], other)) for other in WAYS}
    assert fates == {other: Fate.RIGHT if other is way else Fate.WRONG for other in WAYS}
    assert oracle.judge(question, written(oracle, [4, 6, 8], way)) is Fate.WRONG


def written(oracle: Oracle, numbers: list[int], way: Way) -> Reply:
    """Write what a server answers."""
    rows = oracle.vectors[numbers]
    result = {"shape": list(rows.shape), "data": rows.tolist()}
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    scores = enumerate((unit[1:] @ unit[0]).tolist())
    ranked = sorted(scores, key=lambda one: -one[1])
    answers: dict[Way, Any] = {
        RUN: {"result": result},
        BINDING: result,
        OPENAI: {
            "data": [{"index": n, "embedding": row} for n, row in enumerate(rows.tolist())],
        },
        RERANK: {"results": [{"index": n, "relevance_score": score} for n, score in ranked]},
    }
    return Reply(200, {}, json.dumps(answers[way]).encode())
