"""`satsuma bench targets`: what counts as met, and real figures of a tiny model."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from satsuma.ai import Ai
from satsuma.bench.contenders import ensure_model, model_id
from satsuma.bench.http_client import Target as Endpoint
from satsuma.bench.http_load import running_server
from satsuma.bench.http_raw import RawConnection, RefusedError, inference_ms, write_request
from satsuma.bench.measure import Spread
from satsuma.bench.random_model import ModelShape
from satsuma.bench.targets.command import targets
from satsuma.bench.targets.in_process import bulk_rows, measure_bulk
from satsuma.bench.targets.over_http import (
    Setting,
    beside_bulk_row,
    bulk_row,
    many_clients_row,
    memory_row,
    overhead_row,
)
from satsuma.bench.targets.rows import Parts, Row, Target, Unit, format_rows, to_json
from satsuma.bench.targets.starts import start_row, start_target

TINY = ModelShape("tiny", 16, 1, 2, 32)


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model."""
    folder = tmp_path_factory.mktemp("models")
    ensure_model(folder, TINY)
    return folder


@pytest.fixture(scope="module")
def setting(models_dir: Path) -> Iterator[Setting]:
    """Its server, and short samples."""
    with running_server(model_id(TINY), models_dir, threads=1) as server:
        yield Setting(server, TINY, rounds=1, seconds=0.1)


def test_bounds_of_a_target() -> None:
    """Each may be missing."""
    assert Target("a", Unit.SHARE, at_least=0.85).is_met(0.85)
    assert not Target("a", Unit.SHARE, at_least=0.85).is_met(0.84)
    assert Target("a", Unit.SECONDS, at_most=3).is_met(3)
    assert not Target("a", Unit.SECONDS, at_most=3).is_met(3.01)
    assert Target("a", Unit.RATIO).is_met(0)


def test_a_line_a_target() -> None:
    """A missed one says so, and one without a bound is only shown."""
    parts = Parts("GFLOP/s", {"rate": 84.04, "ceiling in turns": 1100.4})
    rows = [
        Row.of(Target("bulk", Unit.SHARE, at_least=0.85), Spread(0.8, 0.84, 0.86), parts),
        Row(Target("memory", Unit.MEGABYTES, at_most=400), 145.2),
        Row(Target("lanes", Unit.RATIO), 0.98),
    ]
    _, bulk, memory, lanes = [" ".join(line.split()) for line in format_rows(rows).splitlines()]
    made_of = "rate 84.04, ceiling in turns 1,100 GFLOP/s"
    assert bulk == f"bulk at least 85.0% 84.0% 80.0% to 86.0% missed {made_of}"
    assert memory == "memory at most 400 MB 145 MB"
    assert lanes == "lanes 0.98 times"
    told = json.loads(to_json(rows))["rows"]
    assert [row["is_met"] for row in told] == [False, True, True]
    assert told[0]["parts"]["figures"] == {"rate": 84.04, "ceiling in turns": 1100.4}


def test_bulk_is_measured_in_turns(models_dir: Path) -> None:
    """Every variant runs; the ceiling turns the first one's rate into a share."""
    measured, ceiling = measure_bulk(
        TINY, models_dir, rounds=1, seconds=0.01, ceiling=iter(range(4)).__next__
    )
    assert ceiling == 1.5
    assert [one.path for one in measured] == ["fp32", "int8", "one lane"]
    bulk, int8, one_lane = bulk_rows(measured, ceiling_gflops=2 * measured[0].gflops)
    assert bulk.figure == pytest.approx(0.5)
    assert quotient(bulk) == pytest.approx(0.5)
    assert quotient(int8) == pytest.approx(int8.figure)
    assert quotient(one_lane) == pytest.approx(one_lane.figure)
    assert int8.figure == pytest.approx(
        measured[1].tokens_per_s.median / measured[0].tokens_per_s.median
    )
    assert one_lane.figure > 0


def quotient(row: Row) -> float:
    """Divide what a row says that it was made of."""
    assert row.parts is not None
    one, other = row.parts.figures.values()
    return one / other


def test_figures_of_a_server(setting: Setting, models_dir: Path) -> None:
    """Each is a number that a real server gave."""
    longer = replace(setting, seconds=0.4)  # a busy machine may answer nobody in a short sample
    with Ai(models_dir=models_dir, threads=1, skip_self_test=True) as ai:
        many = many_clients_row(longer, ai)
    rows = [
        bulk_row(longer, lambda: 1.0),
        overhead_row(setting),
        many,
        beside_bulk_row(setting, fewest=4),
    ]
    memory = memory_row(setting, models_dir, lengths=(8, 100))
    assert [row for row in rows if not (math.isfinite(row.figure) and row.figure > 0)] == []
    made = [row for row in rows if row.parts is not None]
    assert [quotient(row) for row in made] == pytest.approx([row.figure for row in made])
    if memory is not None:
        assert memory.figure > 10
        assert memory.parts is not None
        assert 0 < memory.parts.figures["weights"] < 10


def test_starts_are_timed(models_dir: Path) -> None:
    """From the process's start to its word that it is ready."""
    row = start_row(start_target("tiny", 3), model_id(TINY), models_dir, threads=1, rounds=1)
    assert 0.1 < row.figure < 60


def test_the_raw_client_reads_answers_and_refusals(setting: Setting) -> None:
    """A refusal carries what the server said."""
    with RawConnection(setting.server.port) as connection:
        head = connection.ask(write_request(setting.endpoint, ["one text"]))
        assert inference_ms(head) > 0
        nobody = Endpoint(setting.endpoint.url, "@cf/no/such")
        with pytest.raises(RefusedError, match="No such model"):
            connection.ask(write_request(nobody, ["one text"]))


def test_help_says_what_is_measured() -> None:
    """And that a missed target is no failure."""
    shown = " ".join(CliRunner().invoke(targets, ["--help"]).output.split())
    assert "A missed target is no failure" in shown
