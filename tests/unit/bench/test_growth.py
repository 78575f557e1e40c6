"""`satsuma bench growth`: real texts through the real service, and the figures beside them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from satsuma.bench import growth
from satsuma.bench.growth import anonymous_bytes, make_texts


def test_each_size_of_queue_has_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """For people a line, for programs one line of JSON at the end."""
    monkeypatch.setattr(growth, "_SHORTEST_S", 1e-6)
    monkeypatch.setattr(growth, "_KEPT_S", 0.1)
    monkeypatch.setattr(growth, "calm_collector", lambda: None)  # it is for a process's whole life
    result = CliRunner().invoke(growth.growth, ["--largest", "300", "--threads", "1"])
    *lines, last = result.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["10", "100"]
    told = json.loads(last)
    rows = told["growth"]
    assert told["surroundings"]["cores"] == 1  # as asked, not as the machine has
    assert [row["num_texts"] for row in rows] == [10, 100]
    assert all(row["tokens_per_s"] > 0 and 0 < row["tokenising_share"] < 1 for row in rows)
    assert all(row["kept_tokens_per_s"] > 0 for row in rows)


def test_texts_differ_and_are_the_same_in_every_run() -> None:
    """No cache could answer, and two runs compare."""
    assert make_texts(500) == make_texts(500)
    assert len(set(make_texts(500))) == 500


def test_memory_is_what_no_file_backs(tmp_path: Path) -> None:
    """As Linux tells it; elsewhere it is unknown."""
    status = tmp_path / "status"
    assert anonymous_bytes(status) is None
    status.write_text("VmRSS:\t 10 kB\nRssAnon:\t   44000 kB\n")
    assert anonymous_bytes(status) == 44000 * 1024
    status.write_text("VmRSS:\t 10 kB\n")
    assert anonymous_bytes(status) is None
