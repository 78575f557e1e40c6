import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from satsuma.bench import ceiling
from satsuma.bench.__main__ import Plan, main, run
from satsuma.bench.random_model import ModelShape
from satsuma.bench.workload import WORKLOADS


@pytest.fixture(autouse=True)
def short_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure the ceiling for an instant; these tests look at no figure."""
    monkeypatch.setattr(ceiling, "SAMPLE_S", 0.01)


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """Plan an instant's worth of measuring."""
    return Plan(
        shape=ModelShape("tiny", 16, 1, 2, 32),
        workloads=[WORKLOADS["1x10"], WORKLOADS["32x128"]],
        paths=("engine", "ai"),
        rounds=1,
        seconds=0.01,
        threads=1,
        models_dir=tmp_path,
    )


@pytest.mark.parametrize(
    "flag", ["--shape", "--rounds", "--seconds", "--workload", "--path", "--json", "--quick"]
)
def test_help_explains_each_flag(flag: str) -> None:
    """`--help` has every flag."""
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0
    assert flag in result.output


def test_an_unknown_workload_is_a_usage_error() -> None:
    """A wrong name lists the right ones."""
    result = CliRunner().invoke(main, ["--workload", "7x7"])
    assert result.exit_code == 2
    assert "32x128" in result.output


def test_run_prints_ceiling_then_table_then_json(
    plan: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    """People read down to the table; programs read the last line."""
    run(plan, only_json=False)
    printed = capsys.readouterr().out
    assert printed.index("ceiling") < printed.index("tokens/s  ")
    measured = json.loads(printed.splitlines()[-1])["measurements"]
    paths = [(one["path"], one["workload"]) for one in measured]
    assert paths == [("engine", "1x10"), ("ai", "1x10"), ("ai", "32x128")]


def test_json_flag_prints_one_line(plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    """`--json` leaves standard output to programs alone."""
    run(plan, only_json=True)
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["model"] == "tiny"
