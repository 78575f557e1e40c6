"""What becomes of samples: percentiles, rates, errors, and whether to trust them."""

from __future__ import annotations

import pytest

from satsuma.bench.http_figures import (
    Figures,
    Sample,
    format_table,
    percentiles_ms,
    summarise,
    warnings,
)


def phase(latencies_s: list[float], lag_s: float = 0.0, **given: float) -> Figures:
    """Sum up answered requests of ten tokens each."""
    samples = [Sample(latency_s, lag_s, "200", 10) for latency_s in latencies_s]
    return summarise("a phase", samples, took_s=2.0, offered_per_s=given.get("offered_per_s"))


def test_percentiles_are_values_that_were_seen() -> None:
    """The 99th of a thousand is the 990th, and none is invented between two."""
    found = percentiles_ms([number / 1000 for number in range(1, 1001)])
    assert found == pytest.approx({"p50": 501, "p90": 901, "p99": 991, "p99.9": 1000, "max": 1000})
    assert percentiles_ms([]) == {}


def test_rates_count_what_was_answered() -> None:
    """A refused request is no throughput and has no latency; its status is told."""
    samples = [Sample(0.1, 0.0, "200", 10), Sample(0.001, 0.0, "429", 0)]
    figures = summarise("one", samples, took_s=2.0, num_unsent=3)
    assert (figures.requests_per_s, figures.tokens_per_s) == (0.5, 5.0)
    assert figures.latency_ms["p50"] == pytest.approx(100)
    assert figures.errors == {"429": 1, "unsent": 3}
    assert figures.num_requests == 5


def test_an_slo_wants_answers_in_time_and_all_of_them() -> None:
    """One late in a hundred is too many, and so is one error."""
    assert phase([0.1] * 200).meets(200)
    assert not phase([0.1] * 198 + [0.3] * 3).meets(200)
    refused = summarise("one", [Sample(0.1, 0.0, "429", 0)], took_s=1.0)
    assert not refused.meets(200)
    assert not phase([]).meets(200)


def test_a_late_generator_is_told() -> None:
    """Its lateness is part of each latency: a tenth of it is too much."""
    assert warnings([phase([0.1] * 200, lag_s=0.005)]) == []
    (says,) = warnings([phase([0.1] * 200, lag_s=0.05, offered_per_s=10)])
    assert "50.0 ms late" in says


def test_a_short_phase_is_told() -> None:
    """A p99 of five requests is the slowest of them."""
    (says,) = warnings([phase([0.1] * 5, offered_per_s=10)])
    assert "5 requests" in says


def test_what_went_wrong_is_told() -> None:
    """The first refusal's words, and what was answered where no vectors were."""
    samples = [Sample(0.001, 0.0, "429", 0, message) for message in ("come again", "later")]
    refused = summarise("one", samples, took_s=1.0)
    assert warnings([refused]) == [
        "one: the first 429 said: come again",
        "one: no request was answered with vectors: 2 x 429.",
    ]


@pytest.mark.parametrize("num_unsent", [0, 3])
def test_more_time_is_advised_only_where_it_is_short(num_unsent: int) -> None:
    """Nobody answered, and nobody refused."""
    (says,) = warnings([summarise("one", [], took_s=1.0, num_unsent=num_unsent)])
    assert says == "one: nothing was answered in time. Give more --duration."


def test_percentiles_say_whom_they_leave_out() -> None:
    """In overload the slowest are those that were never sent."""
    served = [Sample(0.1, 0.0, "200", 10)] * 400 + [Sample(0.1, 0.0, "429", 0)] * 2
    overload = summarise("one", served, took_s=2.0, offered_per_s=501, num_unsent=600)
    (says,) = warnings([overload])
    assert "leave out 602 of 1,002 requests" in says
    assert "2 x 429, 600 x unsent" in says
    assert "400 of 1,002" in format_table([overload])
    assert overload.to_json()["num_left_out"] == 602


def test_the_table_has_a_line_for_each_phase() -> None:
    """Also for one without an answer."""
    lines = format_table([phase([0.1]), phase([])]).splitlines()
    assert len(lines) == 3
    assert "100.0" in lines[1]
    assert "-" in lines[2]
