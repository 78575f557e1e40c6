from __future__ import annotations

import errno
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from support.worker_project import CONFIG, Init

from satsuma.cli.vendoring import plan_copy, replace_file
from satsuma.cli.workers import FOLDER, package_folder
from satsuma.errors import ConfigurationError


def package_files() -> list[str]:
    """List the package's files, as npm would pack them."""
    package = json.loads((package_folder() / "package.json").read_text())
    return ["package.json", *package["files"]]


def test_init_writes_every_file_of_the_package(project: Path, init: Init) -> None:
    """What lies in the project is the package, byte by byte, and the configuration is untouched."""
    printed = init()
    files = package_files()
    assert {"package.json", "dev.js", "index.d.ts", "workerd/config.capnp"} <= set(files)
    for file in files:
        copy = project / FOLDER / file
        assert copy.read_bytes() == (package_folder() / file).read_bytes()
    assert (project / "wrangler.json").read_text() == CONFIG
    assert f"Wrote {len(files)} files" in printed


def test_the_package_lists_its_code() -> None:
    """Nothing that is written in the package's languages is left behind by `files`."""
    suffixes = {".js", ".ts", ".capnp", ".md"}
    present = [path for path in package_folder().rglob("*") if path.suffix in suffixes]
    assert {path.relative_to(package_folder()).as_posix() for path in present} == {
        path for path in package_files() if Path(path).suffix in suffixes
    }


def test_what_else_lies_there_is_not_copied(project: Path, tmp_path: Path) -> None:
    """An editor's files and another project's settings stay where they are."""
    source = shutil.copytree(package_folder(), tmp_path / "package")
    for name in (".dev.js.swp", "satsuma.json", "dev.js~"):
        (source / name).write_text("not satsuma's")
    plan_copy(source, project / FOLDER).write()
    written = {path.name for path in (project / FOLDER).iterdir()}
    assert written == {Path(path).parts[0] for path in package_files()} | {".written.json"}


def test_init_again_writes_nothing(project: Path, init: Init) -> None:
    """The second time all is up to date."""
    init("--url", "http://gpu-box:7768")
    before = {path: path.stat().st_mtime_ns for path in project.rglob("*")}  # of folders, too
    assert "Wrote 0 files" in init()
    assert {path: path.stat().st_mtime_ns for path in project.rglob("*")} == before


def test_a_dry_run_writes_nothing(project: Path, init: Init) -> None:
    """It lists the files and leaves the project alone."""
    (project / ".gitignore").write_text("node_modules\n")
    assert "satsuma-workers/dev.js" in init("--dry-run")
    assert sorted(path.name for path in project.iterdir()) == [".gitignore", "wrangler.json"]
    assert (project / ".gitignore").read_text() == "node_modules\n"


def test_changed_files_are_not_overwritten(project: Path, init: Init) -> None:
    """One change by hand stops all of it, says where, and --force overrides."""
    init()
    changed, removed = project / FOLDER / "dev.js", project / FOLDER / "proxy.js"
    changed.write_text("mine")
    removed.unlink()
    with pytest.raises(ConfigurationError, match=r"(?s)dev\.js.*Nothing was written.*--force"):
        init()
    assert not removed.exists()
    assert changed.read_text() == "mine"
    init("--force")
    assert changed.read_bytes() == (package_folder() / "dev.js").read_bytes()


def test_files_of_an_older_satsuma_are_updated(project: Path, init: Init) -> None:
    """What satsuma wrote and nobody changed is replaced without asking."""
    init()
    older = project / FOLDER / "proxy.js"
    older.write_text("older")
    record = project / FOLDER / ".written.json"
    digests = json.loads(record.read_text())
    digests["proxy.js"] = hashlib.sha256(b"older").hexdigest()
    record.write_text(json.dumps(digests))
    assert "Wrote 1 file into" in init()
    assert older.read_bytes() == (package_folder() / "proxy.js").read_bytes()


@pytest.mark.parametrize(("text", "stays"), [("older", False), ("mine", True)])
def test_files_that_a_newer_satsuma_dropped(
    project: Path, init: Init, text: str, *, stays: bool
) -> None:
    """They go, unless they were changed."""
    init()
    dropped, record = project / FOLDER / "old.js", project / FOLDER / ".written.json"
    dropped.write_text(text)
    digests = json.loads(record.read_text()) | {"old.js": hashlib.sha256(b"older").hexdigest()}
    record.write_text(json.dumps(digests))
    assert ("Removed 1 file" in init()) is not stays
    assert dropped.exists() is stays
    assert "old.js" not in json.loads(record.read_text())


def test_a_full_disk(project: Path, init: Init, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written is whole, and the next attempt needs no --force."""
    (project / FOLDER).mkdir()
    older = {path: f"older {path}".encode() for path in package_files()}
    for path, content in older.items():
        replace_file(project / FOLDER / path, content)
    digests = {path: hashlib.sha256(content).hexdigest() for path, content in older.items()}
    (project / FOLDER / ".written.json").write_text(json.dumps(digests))
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", _write_to_a_disk_of(files=4))
        with pytest.raises(OSError, match="No space left"):
            init()
    now = {path: (project / FOLDER / path).read_bytes() for path in package_files()}
    assert 0 < sum(now[path] != older[path] for path in now) < len(now)
    assert all(
        content in (older[path], (package_folder() / path).read_bytes())
        for path, content in now.items()
    )
    assert not list((project / FOLDER).rglob("*partial*"))
    init()
    assert (project / FOLDER / "settings.js").read_bytes() != older["settings.js"]


def _write_to_a_disk_of(files: int) -> Callable[[Path, bytes], int]:
    """Take a few files, then half of one, and no more."""
    left, write = iter(range(files)), Path.write_bytes

    def write_bytes(path: Path, content: bytes) -> int:
        if next(left, None) is None:
            write(path, content[: len(content) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, content)

    return write_bytes


def test_the_derived_configuration_is_ignored_by_git(project: Path, init: Init) -> None:
    """One line is added to .gitignore, once, and what was there stays."""
    (project / ".gitignore").write_text("node_modules")
    init()
    init()
    assert (project / ".gitignore").read_text() == "node_modules\n*.satsuma.jsonc\n"


def test_without_git_no_gitignore_is_made(project: Path, init: Init) -> None:
    """Nothing but the folder appears."""
    init()
    assert sorted(path.name for path in project.iterdir()) == [FOLDER, "wrangler.json"]
