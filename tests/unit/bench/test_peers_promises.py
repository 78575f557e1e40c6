"""What is promised against other libraries: which rivals count, and what is left out."""

from __future__ import annotations

import pytest

from satsuma.bench.measure import Spread
from satsuma.bench.peers import workloads
from satsuma.bench.peers.catalog import PEERS
from satsuma.bench.peers.figures import Figures
from satsuma.bench.peers.promises import PROMISES, format_promises, hold_promises


def figures(
    contender: str, rate: float, workload: str = "mixed", precision: str = "fp32"
) -> Figures:
    """Make one row, with quartiles 10 below and above."""
    spread = Spread(rate - 10, rate, rate + 10)
    return Figures("m", workload, contender, precision, spread, Spread(1, 2, 3), 1, 4, None, None)


def test_the_best_that_pads_and_the_best_of_all() -> None:
    """A library that computes no padding counts for the one and not for the other."""
    measured = [figures("satsuma", 300), figures("ctranslate2", 200), figures("fastembed", 100)]
    padding, everybody = hold_promises(measured)
    assert (padding.rival, padding.ratio) == ("fastembed", Spread(2.9, 3.0, 3.1))
    assert (everybody.rival, everybody.ratio.median) == ("ctranslate2", 1.5)
    assert padding.is_kept
    assert everybody.is_kept


def test_the_median_has_to_be_enough() -> None:
    """One below is missed, and says so."""
    measured = [figures("satsuma", 189), figures("fastembed", 100)]
    assert [held.is_kept for held in hold_promises(measured)] == [False, True]
    first, second = format_promises(measured).splitlines()[2:]
    assert first == (
        "| mixed, fp32 | fastembed (1 of 6, those that pad) | 1.90 | 1.89 (1.79 to 1.99) "
        "| fastembed | missed, partial |"
    )
    assert second.endswith("| fastembed | partial |")


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_only_a_whole_run_says_all(precision: str) -> None:
    """One without somebody who has that precision names those that were there."""
    rivals = {peer.name for peer in PEERS if not peer.is_ours and peer.precision == precision}
    measured = [figures(name, 100, "1x10", precision) for name in sorted(rivals)]
    ours = figures("satsuma", 300, "1x10", precision)
    assert format_promises([ours, *measured]).endswith("|  |")
    assert "| all others |" in format_promises([ours, *measured])
    text = format_promises([ours, *measured[1:]])
    assert f"({len(rivals) - 1} of {len(rivals)}, all others)" in text
    assert ", ".join(one.contender for one in measured[1:]) in text
    assert text.endswith("| partial |")


def test_precisions_are_not_compared() -> None:
    """A rival's int8 is no rival of fp32."""
    measured = [figures("satsuma", 200), figures("fastembed", 100, precision="int8")]
    assert not list(hold_promises(measured))


@pytest.mark.parametrize("alone", [["satsuma"], ["fastembed", "ctranslate2"], ["satsuma-http"]])
def test_what_was_not_measured_is_left_out(alone: list[str]) -> None:
    """Without satsuma in process, or without a rival, there is nothing to say."""
    assert not format_promises([figures(name, 100) for name in alone])


def test_every_promise_has_a_workload_that_is_measured() -> None:
    """A misspelt name would never be held against anything."""
    assert {promise.workload for promise in PROMISES} <= set(workloads.NAMES)
