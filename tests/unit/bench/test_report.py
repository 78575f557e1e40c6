import json
import re
import subprocess
from functools import partial
from importlib import metadata
from pathlib import Path

import pytest

from satsuma import __version__
from satsuma.bench.ceiling import Ceiling
from satsuma.bench.measure import Measurement, Spread
from satsuma.bench.report import (
    Report,
    Surroundings,
    describe_surroundings,
    format_heading,
    format_table,
    name_commit,
)

CEILING = Ceiling(84.0, 168.0, 2, "a loop")
HERE = Surroundings("2026-11-22T17:00+00:00", "Some CPU", 2, "Linux", 0.25, {"numpy": "2.4.6"})
MEASUREMENTS = [
    Measurement("ai", "32x128", Spread(790.4, 800, 811), Spread(5000, 5120.04, 5200), 142.8, 5),
    Measurement("http, 16 clients", "mixed", Spread(7, 8, 9), Spread(1, 2, 3), 1.68, 4),
]


def test_heading_names_machine_versions_and_ceiling() -> None:
    """What a figure depends on stands above it."""
    heading = format_heading(HERE, "bge-base", 175e6, CEILING)
    for part in ("Some CPU", "2 cores", "numpy 2.4.6", "84.0 GFLOP/s", "168.0 on 2: a loop"):
        assert part in heading
    assert "at most 960 tokens/s" in heading


def test_table_has_rate_spread_and_share_of_ceiling() -> None:
    """One line a measurement, with median, quartiles and the share of the ceiling."""
    _, first, second = format_table(MEASUREMENTS, CEILING).splitlines()
    assert first.split("  ")[0] == "ai"
    for part in ("32x128", "800", "790 to 811", "85%", "5,120.0", "5,000.0 to 5,200.0"):
        assert part in first
    assert second.startswith("http, 16 clients  mixed")


def test_columns_line_up() -> None:
    """Numbers end in the same column."""
    lines = format_table(MEASUREMENTS, CEILING).splitlines()
    assert len({len(line) for line in lines}) == 1


def test_json_is_one_line_and_has_everything() -> None:
    """The last line of a run is a JSON object with each figure of the table."""
    line = Report(HERE, "bge-base", 174587904.0, CEILING, MEASUREMENTS).to_json()
    assert "\n" not in line
    content = json.loads(line)
    assert content["ceiling"]["all_threads_gflops"] == CEILING.all_threads_gflops
    assert content["measurements"][0]["tokens_per_s"]["lower_quartile"] == pytest.approx(790.4)
    assert content["surroundings"]["versions"] == {"numpy": "2.4.6"}


def test_surroundings_describe_this_machine() -> None:
    """The processor has a name and the versions are those installed."""
    here = describe_surroundings(cores=2)
    assert here.cpu
    assert here.cores == 2
    assert {"python", "satsuma", "onnxruntime"} <= set(here.versions)


def test_satsuma_need_not_be_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may run from its sources, of which no package tells."""

    def version(name: str) -> str:
        if name == "satsuma":
            raise metadata.PackageNotFoundError(name)
        return "1"

    monkeypatch.setattr(metadata, "version", version)
    assert describe_surroundings(cores=2).versions["satsuma"].split()[0] == __version__


def test_a_checkout_names_its_commit(tmp_path: Path) -> None:
    """Figures can be taken again with the same code, unless its files were edited."""
    assert name_commit(tmp_path) == ""
    git = partial(subprocess.run, cwd=tmp_path, check=True, capture_output=True)
    git(("git", "init", "--quiet"))
    assert name_commit(tmp_path) == ""
    (tmp_path / "file").write_text("one")
    git(("git", "add", "file"))
    git(("git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "-m", "one"))
    commit = name_commit(tmp_path)
    assert re.fullmatch(r"[0-9a-f]{7,}", commit)
    (tmp_path / "file").write_text("two")
    assert name_commit(tmp_path) == f"{commit}-dirty"
