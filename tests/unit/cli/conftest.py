"""A Worker's project to write into."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.worker_project import CONFIG, Init

from satsuma.cli.workers import workers


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Give a Worker's folder."""
    (tmp_path / "wrangler.json").write_text(CONFIG)
    return tmp_path


@pytest.fixture
def init(project: Path, capsys: pytest.CaptureFixture[str]) -> Init:
    """Run the command in this process."""

    def run(*flags: str) -> str:
        workers.main(["init", str(project), *flags], standalone_mode=False)
        return capsys.readouterr().out

    return run
