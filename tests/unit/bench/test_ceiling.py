import shutil
from pathlib import Path

import pytest

from satsuma.bench import ceiling
from satsuma.bench.ceiling import Ceiling, ceiling_sampler, compile_loop, higher, measure_ceiling


@pytest.fixture(autouse=True)
def short_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure for an instant; these tests look at no figure."""
    monkeypatch.setattr(ceiling, "SAMPLE_S", 0.01)


def test_ceiling_is_positive() -> None:
    """Whatever this machine has, both figures are positive and the method is named."""
    measured = measure_ceiling(num_threads=2, rounds=1)
    assert measured.one_thread_gflops > 0
    assert measured.all_threads_gflops > 0
    assert measured.num_threads == 2
    assert measured.method


def test_without_a_compiler_numpy_stands_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without a C compiler still gets a figure, which says that it is a stand-in."""
    monkeypatch.setattr(shutil, "which", lambda _: None)
    measured = measure_ceiling(num_threads=1, rounds=1)
    assert measured.all_threads_gflops > 0
    assert "no C compiler" in measured.method


def test_a_compiler_that_fails_is_no_compiler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A compiler that cannot compile the loop counts as none."""
    monkeypatch.setattr(shutil, "which", lambda _: "false")
    assert compile_loop(tmp_path) is None


def test_the_higher_figures_of_two_measurements_count() -> None:
    """Noise during one of them does not lower the ceiling."""
    joined = higher(Ceiling(80, 150, 2, "a loop"), Ceiling(70, 160, 2, "a loop"))
    assert joined == Ceiling(80, 160, 2, "a loop")


@pytest.mark.parametrize("has_compiler", [True, False])
def test_one_sample_at_a_time(has_compiler: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """For turns with what is compared with it."""
    if not has_compiler:
        monkeypatch.setattr(shutil, "which", lambda _: None)
    with ceiling_sampler(num_threads=1) as sample:
        assert sample() > 0
        assert sample() > 0
