"""`satsuma usage`: rows, their sum, and what Cloudflare would ask for them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from satsuma.cli.usage import usage
from satsuma.usage.ledger import USAGE_FILE, Ledger

BASE = "@cf/baai/bge-base-en-v1.5"


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A folder with some usage."""
    ledger = Ledger(tmp_path / USAGE_FILE)
    ledger.note("me", BASE, 3, 1_000_000)
    ledger.note("you", "@local/mine", 1, 10)
    ledger.write()
    return tmp_path


def run(data_dir: Path, *flags: str) -> Result:
    """Run it."""
    flags = (*flags, "--data-dir", str(data_dir))
    return CliRunner().invoke(usage, flags, env={"SATSUMA_MODELS_DIR": str(data_dir / "models")})


def test_rows_and_their_sum(data_dir: Path) -> None:
    """By day, account and model, and all together."""
    lines = run(data_dir, "--since", "7d").output.splitlines()
    assert lines[0].split()[:3] == ["day", "account", "model"]
    assert lines[1].split()[1:] == ["me", BASE, "1", "3", "1,000,000", "0.0670"]
    assert lines[-1].split() == ["all", "2", "4", "1,000,010", "0.0670"]


def test_json_and_filters(data_dir: Path) -> None:
    """A row each; any of a model's names will do."""
    (row,) = map(
        json.loads, run(data_dir, "--json", "--model", BASE.lstrip("@")).output.splitlines()
    )
    assert (row["account"], row["tokens"], row["usd_at_cloudflare"]) == ("me", 1_000_000, 0.067)
    assert not run(data_dir, "--json", "--account", "nobody").output


@pytest.mark.parametrize(
    "since", ["yesterday", "d", "-1d", "800000d", "99999999999d", "9" * 5_000 + "d", "0000-01-01"]
)
def test_a_day_that_is_none(data_dir: Path, since: str) -> None:
    """Says what one looks like, also where it is before the calendar begins."""
    failed = run(data_dir, "--since", since)
    assert failed.exit_code == 2
    assert "2026-11-01" in failed.output
