"""Jobs' pieces, small."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from satsuma.bulk.formats import InputFormat, OutputFormat
from satsuma.bulk.inputs import InputFile, find_inputs
from satsuma.bulk.options import JobOptions


@pytest.fixture
def options() -> Callable[..., JobOptions]:
    """Make options, with what a test does not care about filled in."""

    def make(**wishes: Any) -> JobOptions:
        usual = {
            "model": "m",
            "input_format": InputFormat.CSV,
            "output_format": OutputFormat.PARQUET,
        }
        return JobOptions(**(usual | wishes))

    return make


@pytest.fixture
def input_file(tmp_path: Path) -> Callable[[str, bytes], InputFile]:
    """Make an input of a name and a content."""

    def make(name: str, content: bytes) -> InputFile:
        path = tmp_path / name
        path.write_bytes(content)
        return find_inputs(str(path), None)[0]

    return make
