"""How the command ends when the system refuses something."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from satsuma.cli import main as module


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(28, "No space left on device", "/x/y"), "Error: /x/y: No space left on device\n"),
        (PermissionError(13, "Permission denied"), "Error: input or output: Permission denied\n"),
        (OSError("odd"), "Error: odd\n"),
    ],
)
def test_a_refusal_of_the_system_is_one_line(
    error: OSError,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """No traceback, and exit code 1."""

    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr(module.cli, "main", fail)
    with pytest.raises(SystemExit) as caught:
        module.main()
    assert caught.value.code == 1
    assert capsys.readouterr().err == message


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_behind_standard_output(tmp_path: Path) -> None:
    """One line, although Python would try again at its exit."""
    command = [sys.executable, "-m", "satsuma", "models", "list", "--models-dir", str(tmp_path)]
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False
        )
    assert result.returncode == 1
    assert result.stderr == "Error: input or output: No space left on device\n"
