"""The table, the plot, the JSON line and where they go."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from satsuma.bench.ceiling import Ceiling
from satsuma.bench.measure import Spread
from satsuma.bench.peers.errors import PeerError
from satsuma.bench.peers.figures import (
    ContenderNote,
    Failure,
    Figures,
    ModelNote,
    PeersReport,
    WorkloadNote,
    min_cosine,
)
from satsuma.bench.peers.output import BEGIN, END, check_page, write_folder, write_page
from satsuma.bench.peers.plot import draw_model
from satsuma.bench.peers.table import best_peer, format_report, format_table
from satsuma.bench.report import Surroundings


def figures(contender: str, rate: float, precision: str = "fp32") -> Figures:
    """Make one row, with quartiles 10 below and above."""
    return Figures(
        model="bge-base",
        workload="mixed",
        contender=contender,
        precision=precision,
        tokens_per_s=Spread(rate - 10, rate, rate + 10),
        run_ms=Spread(1, 2, 3),
        gflops=rate / 10,
        num_runs=4,
        peak_bytes=512_000_000,
        min_cosine=0.9999994,
    )


FIGURES = [
    figures("onnxruntime", 500),
    figures("satsuma", 900),
    figures("fastembed", 600),
    figures("satsuma", 1500, "int8"),
]
REPORT = PeersReport(
    surroundings=Surroundings("2026-11-22T17:00+00:00", "Some CPU", 2, "Linux", 0.25, {"a": "1"}),
    ceiling=Ceiling(84.0, 168.0, 2, "a loop"),
    rounds=5,
    seconds=1.0,
    models=[ModelNote("bge-base", "random weights", "cls", 512, 175e6)],
    workloads=[WorkloadNote("bge-base", "mixed", "32 texts <&> more", 32, 4208, 168e6)],
    contenders=[ContenderNote("satsuma", "fp32", "`Ai().run`", {"numpy": "2.4.6"})],
    figures=FIGURES,
    failures=[Failure("bge-base", "infinity", "fp32", "not installed: a|b")],
)


def test_fastest_first_within_a_precision() -> None:
    """fp32 stands above int8, and no contender is compared across."""
    rows = format_table(FIGURES, 168.0).splitlines()[2:]
    names = [row.split("|")[1].strip(" *") for row in rows]
    assert names == ["satsuma", "fastembed", "onnxruntime", "satsuma"]


def test_a_row_has_everything() -> None:
    """Rate, spread, ratio, share, time, memory, correctness."""
    row = format_table(FIGURES, 168.0).splitlines()[2]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells == [
        "**satsuma**",
        "fp32",
        "900 (890 to 910)",
        "1.50",
        "54%",
        "2.0",
        "512",
        "0.999999",
    ]


def test_the_best_peer_is_never_satsuma() -> None:
    """Both of satsuma's ways are compared with others."""
    assert best_peer(FIGURES) == 600
    assert best_peer([figures("satsuma-http", 1)]) is None


def test_missing_values_leave_their_cells_empty() -> None:
    """No peer to compare with, no memory, no reference: no number."""
    one = FIGURES[3]
    row = format_table([one], 168.0).splitlines()[2]
    assert row.count("|  |") == 1


def test_report_names_machine_ceiling_workloads_and_failures() -> None:
    """What a figure depends on is on the page."""
    text = format_report(REPORT, {"bge-base": "bge-base.svg"})
    for part in (
        "Some CPU",
        "168.0 GFLOP/s on 2 threads",
        "numpy 2.4.6",
        "![tokens a second on bge-base](bge-base.svg)",
        "4,208 tokens, at most 1,000 tokens/s",
        "infinity fp32 (bge-base): not installed: a\\|b",
    ):
        assert part in text


def test_an_empty_column_says_why() -> None:
    """Without the reference nobody has a cosine."""
    assert "No cosines" not in format_report(REPORT)
    alone = replace(REPORT, figures=[replace(FIGURES[1], min_cosine=None)])
    assert "No cosines: sentence-transformers fp32" in format_report(alone)


def test_plot_is_svg_with_a_bar_a_contender_and_the_ceiling() -> None:
    """It parses, and bars have lengths in proportion."""
    root = ET.fromstring(draw_model(REPORT, "bge-base"))  # noqa: S314 - our own text
    space = "{http://www.w3.org/2000/svg}"
    widths = [float(one.get("width", 0)) for one in root.iter(f"{space}rect")]
    assert len(widths) == len(FIGURES)
    assert widths[-1] / widths[0] == pytest.approx(1500 / 900, rel=0.01)
    lines = [one for one in root.iter(f"{space}line") if one.get("class") == "ceiling"]
    assert len(lines) == 1


def test_json_is_one_line() -> None:
    """Programs read the last line."""
    line = REPORT.to_json()
    assert "\n" not in line
    content = json.loads(line)
    assert content["benchmark"] == "peers"
    assert content["figures"][0]["tokens_per_s"]["median"] == 500
    assert content["figures"][0]["min_cosine"] == pytest.approx(0.999999)


def test_output_folder_has_three_forms(tmp_path: Path) -> None:
    """JSON, Markdown, and a plot that the Markdown links."""
    write_folder(REPORT, tmp_path / "out")
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["bge-base.svg", "results.json", "results.md"]
    assert "(bge-base.svg)" in (tmp_path / "out" / "results.md").read_text()


def test_page_gets_the_report_between_its_marks(tmp_path: Path) -> None:
    """What people wrote around the marks stays, and a second run replaces the first."""
    page = tmp_path / "docs" / "page.md"
    page.parent.mkdir()
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    plots = write_folder(REPORT, tmp_path / "docs" / "peers")
    for _ in range(2):
        write_page(REPORT, page, plots)
    text = page.read_text()
    assert text.startswith(f"before\n{BEGIN}\n- machine: Some CPU")
    assert text.endswith(f"\n{END}\nafter\n")
    assert "(peers/bge-base.svg)" in text
    assert text.count("Some CPU") == 1


def test_page_without_marks_is_noticed_before_the_run(tmp_path: Path) -> None:
    """An hour's figures are not lost at the end."""
    page = tmp_path / "page.md"
    page.write_text("nothing")
    with pytest.raises(PeerError, match="lacks the lines"):
        check_page(page)


def test_cosine_is_the_worst_rows() -> None:
    """Lengths do not matter, directions do."""
    reference = np.array([[1.0, 0.0], [0.0, 2.0]])
    assert min_cosine(np.array([[3.0, 0.0], [1.0, 1.0]]), reference) == pytest.approx(0.5**0.5)


@pytest.mark.parametrize("wrong", [np.zeros((1, 2)), np.full((1, 2), np.nan), np.ones((2, 2))])
def test_vectors_that_are_none_are_refused(wrong: np.ndarray[tuple[int, int], np.dtype]) -> None:
    """Zeros, NaN and a missing row are a failure, not a speed."""
    with pytest.raises(ValueError, match=r"vector"):
        min_cosine(wrong, np.ones((1, 2)))
