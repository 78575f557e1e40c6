"""`make release`, but for the minutes that it takes: what it looks for, says and refuses."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import audit
import pytest
import release
from release import Outcome, ReleaseError, find_pythons, report, trouble_with, try_wheel

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


def test_every_python_that_is_supported_is_looked_for() -> None:
    """As the package's classifiers name them; the one that runs this is among them."""
    found = dict(find_pythons())
    assert list(found)[:2] == ["3.11", "3.12"]
    assert found[HERE] == sys.executable


def test_a_python_that_does_not_run_is_not_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As pyenv's stand-in for one that is switched off; the next one on the PATH is taken."""
    other = "3.12" if HERE == "3.11" else "3.11"
    for name, code in (("first", 127), ("second", 0)):
        python = tmp_path / name / f"python{other}"
        python.parent.mkdir()
        python.write_text(f"#!/bin/sh\nexit {code}\n")
        python.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "first"))
    assert dict(find_pythons())[other] is None
    monkeypatch.setenv("PATH", f"{tmp_path / 'first'}:{tmp_path / 'second'}")
    assert dict(find_pythons())[other] == str(tmp_path / "second" / f"python{other}")


def test_a_python_that_is_not_here_is_named(tmp_path: Path) -> None:
    """And is no reason to release nothing."""
    outcome = try_wheel("3.99", None, tmp_path / "none.whl", tmp_path)
    assert outcome == Outcome("3.99", "not on this machine")


def test_a_wheel_that_cannot_be_installed_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With what the tool said."""
    monkeypatch.setattr(release, "WORK", tmp_path)
    outcome = try_wheel("3.99", "/no/such/python", tmp_path / "none.whl", tmp_path)
    assert outcome.has_failed
    assert "/no/such/python" in capsys.readouterr().err


def test_the_sources_are_not_what_was_installed(tmp_path: Path) -> None:
    """A test that imported src/ would say nothing of the wheel."""
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text("#!/bin/sh\necho /somewhere/src/satsuma/__init__.py\n")
    python.chmod(0o755)
    with pytest.raises(ReleaseError, match="is not what was installed"):
        release._check_origin(python, tmp_path)


def test_the_report_has_sizes_and_digests(tmp_path: Path) -> None:
    """Of every file, and what became of every Python."""
    wheel = tmp_path / "satsuma-1.0-py3-none-any.whl"
    wheel.write_bytes(b"x" * 1234)
    told = report([wheel], [Outcome("3.11", "7 passed in 1.00s")])
    assert "1,234" in told
    assert hashlib.sha256(b"x" * 1234).hexdigest() in told
    assert "7 passed" in told


@pytest.mark.parametrize(("code", "is_vulnerable"), [(0, False), (1, True), (3, False)])
def test_only_a_known_vulnerability_stops_a_release(
    code: int, is_vulnerable: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An index that knows of none, as a mirror, audits nothing, and is no reason to stop."""
    monkeypatch.setattr(audit, "audit", lambda wheel: (wheel, code))
    assert release.list_contents(tmp_path) == (tmp_path, is_vulnerable)


def test_a_release_without_its_list_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the wheel cannot be installed, nobody knows what it brings."""
    monkeypatch.setattr(audit, "audit", lambda wheel: audit._run("false", wheel))
    with pytest.raises(ReleaseError, match="could not be listed"):
        release.list_contents(tmp_path / "none.whl")


def test_a_version_without_its_changes_is_not_published() -> None:
    """CHANGELOG.md has to have a section of that version."""
    assert "CHANGELOG.md has no [9.9.9] yet" in trouble_with("9.9.9")
