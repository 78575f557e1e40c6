"""Counts of several processes as one's: added up where they grow, and otherwise left alone."""

from __future__ import annotations

from api.test_metrics import samples
from prometheus_client.parser import text_string_to_metric_families

from satsuma.api.metrics import Metrics, State
from satsuma.api.sums import add_up


def read(text: bytes) -> dict[str, float]:
    """Every sample of a scrape."""
    return dict(samples(text.decode()))


def counting(model: str, number: int) -> Metrics:
    """A process that answered so many requests."""
    metrics = Metrics()
    for _ in range(number):
        metrics.note_request("run", model, 200, 0.25)
    return metrics


def test_counts_are_added_up() -> None:
    """By labels; a label that one process alone knows is there too."""
    main, one, two = Metrics(), counting("a", 2), counting("b", 1)
    two.note_request("run", "a", 200, 5.0)
    found = read(main.write("", add_up(one.counted(), two.counted()))[0])
    assert found["satsuma_requests_total{a,run,200}"] == 3
    assert found["satsuma_requests_total{b,run,200}"] == 1
    assert found["satsuma_request_seconds_count{run}"] == 4
    assert found["satsuma_request_seconds_sum{run}"] == 0.25 * 3 + 5
    assert found["satsuma_request_seconds_bucket{0.25,run}"] == 3
    assert found["satsuma_request_seconds_bucket{+Inf,run}"] == 4


def test_what_does_not_grow_is_the_main_process_s() -> None:
    """Neither added nor hidden: what waits, what is resident, which version."""
    main = Metrics(lambda: State(waiting_tokens=7))
    found = read(main.write("", counting("a", 1).counted())[0])
    assert found["satsuma_waiting_tokens"] == 7
    assert sum(name.startswith("satsuma_build_info") for name in found) == 1
    assert found["satsuma_requests_created{a,run,200}"] > 1e9  # a time is not added up


def test_names_and_order_are_those_of_one_process() -> None:
    """A scrape's families do not depend on how many processes there are."""
    alone, main = counting("a", 1), Metrics()
    texts = [alone.write("")[0], main.write("", alone.counted())[0]]
    names = [[one.name for one in text_string_to_metric_families(t.decode())] for t in texts]
    assert names[0] == names[1]


def test_openmetrics_takes_it() -> None:
    """Its own form of the same sums."""
    accept = "application/openmetrics-text; version=1.0.0"
    text, media_type = Metrics().write(accept, counting("a", 2).counted())
    assert media_type.startswith("application/openmetrics-text")
    assert b'satsuma_requests_total{model="a",route="run",status="200"} 2.0' in text
    assert text.endswith(b"# EOF\n")
