import itertools

import pytest

from satsuma.bench.measure import Contender, Spread, measure, summarise, to_measurement


def contender(name: str, log: list[str]) -> Contender:
    """Make a contender that notes each of its runs."""
    return Contender("test", name, num_tokens=10, flops=2_000, run=lambda _: log.append(name))


def test_quartiles_interpolate() -> None:
    """Quartiles lie between samples where they must."""
    assert summarise([4, 1, 3, 2]) == Spread(1.75, 2.5, 3.25)


def test_one_sample_is_its_own_spread() -> None:
    """A single sample has no spread."""
    assert summarise([7]) == Spread(7, 7, 7)


def test_rounds_interleave_contenders_after_a_warm_up() -> None:
    """Warm-up first, then A B, A B."""
    log: list[str] = []
    ticks = itertools.count()
    measure(
        [contender("a", log), contender("b", log)],
        rounds=2,
        seconds=0.5,
        clock=lambda: float(next(ticks)),
    )
    assert log == ["a", "b", "a", "b", "a", "b"]


def test_short_runs_repeat_until_the_sample_is_long_enough() -> None:
    """A run of one second repeats until five have passed, the clock's own ticks included."""
    log: list[str] = []
    ticks = itertools.count()
    (measured,) = measure(
        [contender("a", log)], rounds=1, seconds=5, clock=lambda: float(next(ticks))
    )
    assert measured.num_runs == 3
    assert len(log) == 1 + 3


def test_each_round_is_announced() -> None:
    """Progress tells each round's number as it begins."""
    rounds: list[int] = []
    measure([contender("a", [])], rounds=3, seconds=1e-9, on_round=rounds.append)
    assert rounds == [0, 1, 2]


def test_rates_come_from_tokens_and_seconds() -> None:
    """Ten tokens in half a second are 20 tokens/s; 2,000 FLOP a run make the GFLOP/s."""
    measured = to_measurement(contender("a", []), [[0.5, 0.5], [0.25]])
    assert measured.tokens_per_s == Spread(25, 30, 35)
    assert measured.run_ms.median == pytest.approx(500)
    assert measured.gflops == pytest.approx(30 * 200 / 1e9)
    assert measured.num_runs == 3
