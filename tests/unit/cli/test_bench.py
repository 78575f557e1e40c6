"""`satsuma bench` and its parts."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from satsuma.cli import bench as module
from satsuma.cli.bench import bench


def test_help_lists_the_parts() -> None:
    """Those that are there."""
    result = CliRunner().invoke(bench, ["--help"])
    assert result.exit_code == 0
    assert "engine" in result.output
    assert "peers" in result.output


@pytest.mark.parametrize(
    ("arguments", "flag"),
    [(["engine", "--help"], "--quick"), (["peers", "--help"], "--contender")],
)
def test_a_part_has_its_own_flags(arguments: list[str], flag: str) -> None:
    """Each explains itself."""
    result = CliRunner().invoke(bench, arguments)
    assert result.exit_code == 0
    assert flag in result.output


def test_flags_alone_are_the_engines() -> None:
    """`satsuma bench --workload 7x7` means `satsuma bench engine --workload 7x7`."""
    result = CliRunner().invoke(bench, ["--workload", "7x7"])
    assert result.exit_code == 2
    assert "bench engine" in result.output
    assert "32x128" in result.output


def test_an_unknown_part_is_a_usage_error() -> None:
    """It is not taken for a flag."""
    result = CliRunner().invoke(bench, ["nothing"])
    assert result.exit_code == 2
    assert "No such command" in result.output


def test_a_part_that_is_not_there_is_not_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A build may leave one out."""
    monkeypatch.setitem(module._COMMANDS, "more", ("satsuma.bench.no_such:more", "More."))
    assert "More." not in CliRunner().invoke(bench, ["--help"]).output
    assert CliRunner().invoke(bench, ["more"]).exit_code == 2
