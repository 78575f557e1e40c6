"""How a parallel run is shared out."""

from __future__ import annotations

import pytest
from support.workers import unit_of


@pytest.mark.parametrize(
    ("nodeid", "unit"),
    [
        ("tests/unit/test_ai.py::test_one[a/b::c]", "tests/unit/test_ai.py"),
        ("tests/clients/test_run.py::test_one", "tests/clients"),
        ("tests/browser/test_access.py::test_one[dark]", "tests/browser"),
        ("tests/clients_of_ours/test_run.py::test_one", "tests/clients_of_ours/test_run.py"),
    ],
)
def test_files_stay_whole_and_some_folders_do(nodeid: str, unit: str) -> None:
    """What every client saw is compared with a page, which one worker alone could do."""
    assert unit_of(nodeid) == unit
