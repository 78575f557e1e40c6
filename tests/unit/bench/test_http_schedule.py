"""When a load generator sends, and how a sweep finds the knee."""

from __future__ import annotations

import numpy as np
import pytest

from satsuma.bench.http_schedule import Sweep, arrivals


def test_constant_arrivals_keep_their_distance() -> None:
    """Ten a second are a tenth of a second apart, from the beginning on."""
    moments = arrivals(10, 2, is_poisson=False, seed=0)
    assert moments == pytest.approx([number / 10 for number in range(20)])


def test_poisson_arrivals_have_the_rate_and_independent_gaps() -> None:
    """The gaps' mean is one over the rate, and so is their deviation."""
    moments = arrivals(200, 50, is_poisson=True, seed=0)
    gaps = np.diff(moments)
    assert len(moments) == pytest.approx(10_000, rel=0.05)
    assert gaps.mean() == pytest.approx(1 / 200, rel=0.05)
    assert gaps.std() == pytest.approx(1 / 200, rel=0.05)
    assert max(moments) < 50


@pytest.mark.parametrize("is_poisson", [True, False])
def test_there_is_always_something_to_send(is_poisson: bool) -> None:
    """A rate far below one request a phase still sends one, and that counts."""
    moments = arrivals(0.001, 1, is_poisson=is_poisson, seed=0, warmup_s=0.5)
    assert [moment_s for moment_s in moments if moment_s >= 0.5] == [0.5]


@pytest.mark.parametrize("is_poisson", [True, False])
@pytest.mark.parametrize("seed", range(20))
def test_it_goes_on_until_enough_count(is_poisson: bool, seed: int) -> None:
    """Chance, or a short duration, leaves none out; and a long one is not cut."""
    moments = arrivals(2, 1.5, is_poisson=is_poisson, seed=seed, warmup_s=0.5, fewest=9)
    assert sum(moment_s >= 0.5 for moment_s in moments) == 9
    assert moments == sorted(moments)
    usual = arrivals(2, 60, is_poisson=is_poisson, seed=seed)
    assert arrivals(2, 60, is_poisson=is_poisson, seed=seed, fewest=9) == usual


@pytest.mark.parametrize("capacity", [1.3, 40.0, 777.0])
def test_a_sweep_finds_the_knee(capacity: float) -> None:
    """The rate that it ends with is served, and is near the highest that would be."""
    sweep, num_steps = Sweep(5.0), 0
    while not sweep.is_done:
        sweep.note(is_served=sweep.rate_per_s <= capacity)
        num_steps += 1
    assert capacity / 1.1 <= sweep.served_per_s <= capacity
    assert num_steps < 20


def test_a_sweep_ends_where_nothing_is_served() -> None:
    """A server that refuses everything has a knee of none."""
    sweep = Sweep(5.0)
    while not sweep.is_done:
        sweep.note(is_served=False)
    assert sweep.served_per_s == 0
