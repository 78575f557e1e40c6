"""The whole benchmark with satsuma as the only contender, on a tiny model."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from satsuma.bench import ceiling
from satsuma.bench.measure import Spread
from satsuma.bench.peers import rounds
from satsuma.bench.peers.catalog import FP32, PEERS, Peer
from satsuma.bench.peers.command import peers
from satsuma.bench.peers.figures import Figures
from satsuma.bench.peers.models import PeerModel, prepare_random
from satsuma.bench.peers.rounds import Race, Timing
from satsuma.bench.peers.run import Plan, run
from satsuma.bench.peers.setup import Setup
from satsuma.bench.peers.workloads import PeerWorkload
from satsuma.bench.random_model import ModelShape

TINY = ModelShape("tiny", 16, 1, 2, 32)
TIMING = Timing(rounds=2, seconds=0.001, limit_s=60, threads=1)
SATSUMA = next(peer for peer in PEERS if peer.name == "satsuma" and peer.precision == FP32)
ABSENT = Peer("absent", FP32, "nothing", "no_such_worker")


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure the ceiling for an instant and wait for nobody; these tests look at no figure."""
    monkeypatch.setattr(ceiling, "SAMPLE_S", 0.01)
    monkeypatch.setattr(rounds, "_SETTLE_S", 0.0)


def test_satsuma_runs_the_whole_way(tmp_path: Path) -> None:
    """A real worker process: figures, vectors, memory; and who cannot start is named."""
    told: list[str] = []
    plan = Plan(
        peers=[SATSUMA, ABSENT],
        models=["tiny"],
        workloads=["1x10", "stsb"],
        timing=TIMING,
        models_dir=tmp_path / "models",
        stsb=None,
        prepare=lambda folder, _: prepare_random(folder, TINY),
    )
    report = json.loads(run(plan, Setup(tmp_path, 1, told.append)).to_json())
    assert "there will be no cosines: sentence-transformers fp32 is no contender" in told
    assert [one["workload"] for one in report["figures"]] == ["1x10", "stsb"]
    for one in report["figures"]:
        assert one["contender"] == "satsuma"
        assert one["tokens_per_s"]["median"] > 0
        assert one["peak_bytes"] > 1_000_000
        assert one["num_runs"] >= 2
    (failure,) = report["failures"]
    assert failure["contender"] == "absent"
    assert "no_such_worker" in failure["reason"]
    assert report["workloads"][1]["num_texts"] == 256
    assert "tokenizers" in report["contenders"][0]["versions"]


def test_a_wrong_stsb_file_is_told_before_anything(tmp_path: Path) -> None:
    """Nothing is installed, converted or measured first."""
    wrong = tmp_path / "stsb.tsv"
    wrong.write_text("nothing")
    arguments = ["--stsb", str(wrong), "--models-dir", str(tmp_path / "models")]
    result = CliRunner().invoke(peers, ["--contender", "satsuma", "--workload", "stsb", *arguments])
    assert result.exit_code == 1
    assert f"Error: {wrong} is no stsbenchmark.tsv.gz" in result.output
    assert "preparing" not in result.output
    assert not (tmp_path / "models").exists()


def test_a_workload_that_fails_does_not_end_the_next(tmp_path: Path) -> None:
    """The process lives on after an error."""
    model = prepare_random(tmp_path / "models", TINY)
    wrong = PeerWorkload("wrong", "not texts", (1,), ((7,),))  # type: ignore[arg-type]
    right = PeerWorkload("right", "one text", (3,), (("orange",),))
    turns: list[str] = []
    with Race(model, TIMING, tmp_path, tmp_path) as race:
        race.start(SATSUMA)
        assert race.measure(wrong, turns.append) == []
        (figures,) = race.measure(right, turns.append)
    assert figures.workload == "right"
    assert isinstance(figures.tokens_per_s, Spread)
    (failure,) = race.failures
    assert failure.workload == "wrong"
    assert turns == ["satsuma fp32"] * (1 + 1 + TIMING.rounds)


def test_ctrl_c_keeps_what_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hours of a run are not lost; what was under way is left out."""
    measure = Race.measure

    def interrupted(race: Race, workload: PeerWorkload, *args: Any) -> list[Figures]:
        if workload.name == "3x11":
            raise KeyboardInterrupt
        return measure(race, workload, *args)

    monkeypatch.setattr(Race, "measure", interrupted)
    plan = Plan(
        peers=[SATSUMA],
        models=["tiny", "other"],
        workloads=["1x10", "3x11"],
        timing=TIMING,
        models_dir=tmp_path / "models",
        stsb=None,
        prepare=lambda folder, _: prepare_random(folder, TINY),
    )
    report = run(plan, Setup(tmp_path, 1, lambda _: None))
    assert [one.workload for one in report.figures] == ["1x10"]
    assert [one.name for one in report.workloads] == ["1x10"]
    assert len(report.models) == 1


def test_ctrl_c_ends_every_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing runs on after the block."""
    program = "for _ in iter(input, ''): print('{\"versions\": {}}', flush=True)"
    monkeypatch.setattr(Race, "_command", lambda *_: [sys.executable, "-S", "-c", program])
    model = PeerModel("none", "none", tmp_path, TINY, 512, "cls")
    with suppress(KeyboardInterrupt), Race(model, TIMING, tmp_path, tmp_path) as race:
        race.start(SATSUMA)
        race.start(ABSENT)
        assert [one.process.is_alive for one in race.running] == [True, True]
        raise KeyboardInterrupt
    assert [one.process.is_alive for one in race.running] == [False, False]


def test_list_names_everybody(tmp_path: Path) -> None:
    """And says whether it is installed."""
    result = CliRunner().invoke(peers, ["--list", "--environments", str(tmp_path)])
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert len(lines) == len(PEERS)
    assert sum("not installed" in line for line in lines) == len(
        [peer for peer in PEERS if peer.environment]
    )


def test_page_needs_output(tmp_path: Path) -> None:
    """The page links plots, which must lie somewhere."""
    page = tmp_path / "page.md"
    page.write_text("")
    result = CliRunner().invoke(peers, ["--page", str(page)])
    assert result.exit_code == 2
    assert "--output" in result.output
