"""scripts/client_environments.py, in a tree of its own, and the files that it reads."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from clients.programs import HERE, ROOT

SCRIPT = ROOT / "scripts" / "client_environments.py"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A project with one Python environment, which needs one wheel, and one npm project."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(SCRIPT, tmp_path / "scripts")
    (tmp_path / "tests" / "clients" / "python").mkdir(parents=True)
    wheel = tmp_path / "thing-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("thing.py", "VALUE = 1\n")
        archive.writestr(
            "thing-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: thing\nVersion: 1.0\n"
        )
        archive.writestr("thing-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("thing-1.0.dist-info/RECORD", "")
    requirements(tmp_path).write_text(f"{wheel}\n")
    project = tmp_path / "tests" / "clients" / "web"
    project.mkdir()
    (project / "package.json").write_text('{"name": "web", "version": "1.0.0"}')
    lock = {"name": "web", "version": "1.0.0", "lockfileVersion": 3, "packages": {"": {}}}
    (project / "package-lock.json").write_text(json.dumps(lock))
    return tmp_path


def requirements(tree: Path) -> Path:
    """Where the tree says what its Python environment holds."""
    return tree / "tests" / "clients" / "python" / "one.txt"


def install(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the tree's own copy of the script."""
    command = [sys.executable, str(tree / "scripts" / SCRIPT.name), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_installs_once(tree: Path) -> None:
    """A line for each environment at first, silence afterwards; a changed file starts it anew."""
    before = install(tree, "--check")
    assert (before.stdout, before.returncode) == ("one\nweb\n", 1)
    first = install(tree)
    assert re.fullmatch(
        r"clients: one installed in \d+ s\nclients: web installed in \d+ s\n", first.stdout
    ), first.stderr
    python = tree / ".venv" / "clients" / "one" / "bin" / "python"
    subprocess.run([python, "-c", "import thing"], check=True)
    again = install(tree)
    assert (again.stdout, again.stderr, again.returncode) == ("", "", 0)
    requirements(tree).with_suffix(".constraints").write_text("thing==1.0\n")
    assert install(tree, "--check").stdout == "one\n"


def test_half_an_install_is_not_taken_for_one(tree: Path) -> None:
    """It says which failed and why, makes the others, and tries again the next time."""
    requirements(tree).write_text(f"{tree}/there-is-no-such-1.0-py3-none-any.whl\n")
    failed = install(tree)
    assert failed.returncode == 1
    assert "one could not be installed" in failed.stderr
    assert "there-is-no-such" in failed.stderr
    assert failed.stdout.startswith("clients: web installed")
    assert (tree / ".venv" / "clients" / "one" / "bin" / "python").exists()
    assert install(tree, "--check").stdout == "one\n"


def test_every_direct_package_is_pinned() -> None:
    """So that what the table says is what a fresh clone installs."""
    files = sorted((HERE / "python").glob("*.txt"))
    for file in files:
        wanted = [line for line in file.read_text().splitlines() if not line.startswith("#")]
        assert wanted.pop() == f"--constraint {file.stem}.constraints"
        assert all(re.fullmatch(r"[a-z0-9-]+==[0-9.]+", line) for line in wanted), wanted
        chosen = file.with_suffix(".constraints").read_text().splitlines()
        assert set(wanted) <= set(chosen)
    manifest = json.loads((HERE / "node" / "package.json").read_text())
    assert all(re.fullmatch(r"[0-9.]+", one) for one in manifest["dependencies"].values())


@pytest.mark.parametrize(
    "lock", sorted(HERE.glob("*/package-lock.json")), ids=lambda path: path.parent.name
)
def test_lock_files_name_no_registry(lock: Path) -> None:
    """Whoever installs has a registry of their own in npm's configuration."""
    packages = json.loads(lock.read_text())["packages"].values()
    resolved = [one["resolved"] for one in packages if "resolved" in one]
    assert [url for url in resolved if "://" in url] == []
