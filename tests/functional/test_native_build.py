"""How the native engine gets into what is installed: wheels, sources, editable trees."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import native_build
import pytest
from native_build import ROOT

from satsuma.playground import STATIC_DIR

NATIVE = "satsuma/engine/native"
LIBRARY = f"{NATIVE}/libsatsuma.so"

needs_kernels = pytest.mark.skipif(
    native_build.describe_host() not in native_build.TARGETS,
    reason="there are no kernels for this machine",
)


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution of this tree, unpacked where nothing was compiled."""
    folder = tmp_path_factory.mktemp("sources")
    archive = build("sdist", ROOT, folder)
    shutil.unpack_archive(archive, folder, filter="data")
    archive.unlink()
    (unpacked,) = folder.iterdir()
    return unpacked


@pytest.fixture
def tree(sources: Path, tmp_path: Path) -> Path:
    """A tree of the test's own, to break or to build in."""
    return Path(shutil.copytree(sources, tmp_path / "tree"))


def run(
    command: list[str], tree: Path, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command there, with Zig's caches of this tree, lest its runtimes be compiled again."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("SATSUMA_")}
    caches = {
        f"ZIG_{one}_CACHE_DIR": str(native_build.BUILD / "zig") for one in ("GLOBAL", "LOCAL")
    }
    return subprocess.run(
        command,
        cwd=tree,
        env=kept | caches | dict(environ or {}),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def build(kind: str, tree: Path, folder: Path, environ: Mapping[str, str] | None = None) -> Path:
    """Have hatchling make a distribution, with the compiler of this environment."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(folder)]
    done = run(command, tree, environ)
    assert done.returncode == 0, done.stdout + done.stderr
    (made,) = folder.iterdir()
    return made


def names(archive: Path) -> set[str]:
    """List what a wheel holds."""
    return set(zipfile.ZipFile(archive).namelist())


def test_sources_are_whole(sources: Path) -> None:
    """A source distribution has what the build needs, and nothing that it makes."""
    files = {str(path.relative_to(sources)) for path in sources.rglob("*") if path.is_file()}
    native = {path.name for path in native_build.SOURCES.glob("*.[ch]")}
    assert {f"src/{NATIVE}/{name}" for name in native} <= files
    assert {"hatch_build.py", "scripts/native_build.py"} <= files
    assert [file for file in files if ".so" in file or file.startswith("build/")] == []


@needs_kernels
def test_wheel_has_the_library(tree: Path, tmp_path: Path) -> None:
    """It is tagged for the platform, not for this Python, loads there, and has no C."""
    wheel = build("wheel", tree, tmp_path / "dist")
    target = native_build.TARGETS[native_build.describe_host()]
    assert wheel.stem.endswith(f"-py3-none-{target.wheel_platform}")
    assert LIBRARY in names(wheel)
    assert [name for name in names(wheel) if name.endswith((".c", ".h", "hatch_build.py"))] == []
    shutil.unpack_archive(wheel, tmp_path / "inside", "zip")
    code = "from satsuma.engine.native.library import list_kernels as f; print(len(f()))"
    done = run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, '.'); {code}"], tmp_path / "inside"
    )
    assert int(done.stdout) >= 1, done.stderr


def test_without_native(tree: Path, tmp_path: Path) -> None:
    """SATSUMA_BUILD_NATIVE=0 makes a wheel for any machine, and asks for no compiler."""
    environ = {"SATSUMA_BUILD_NATIVE": "0", "SATSUMA_CC": "no-such-compiler"}
    wheel = build("wheel", tree, tmp_path / "dist", environ)
    assert wheel.stem.endswith("-py3-none-any")
    assert LIBRARY not in names(wheel)
    assert native_build.find_requirements(environ) == []


def test_wheel_has_the_pages(tree: Path, tmp_path: Path) -> None:
    """The playground and the API reference are there without any build step of theirs."""
    wheel = build("wheel", tree, tmp_path / "dist", {"SATSUMA_BUILD_NATIVE": "0"})
    pages = {f"satsuma/playground/static/{path.name}" for path in STATIC_DIR.iterdir()}
    assert {f"satsuma/playground/static/{name}" for name in ("index.html", "app.js")} <= pages
    assert pages <= names(wheel)


def test_unknown_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor without kernels gets a wheel without them."""
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert native_build.find_build({}) is None
    assert native_build.find_requirements({}) == []


def test_wheel_for_another_machine(tree: Path, tmp_path: Path) -> None:
    """SATSUMA_TARGET compiles for it, and leaves this machine's library alone."""
    wheel = build("wheel", tree, tmp_path / "dist", {"SATSUMA_TARGET": "aarch64-linux-gnu"})
    assert wheel.stem.endswith("-py3-none-manylinux_2_17_aarch64")
    header = zipfile.ZipFile(wheel).read(LIBRARY)[:20]
    assert (header[:4], header[18]) == (b"\x7fELF", 183)  # of ARM's
    assert not (tree / "src" / LIBRARY).exists()


def test_unknown_target() -> None:
    """A wish that cannot be met is an error, which lists what can."""
    with pytest.raises(native_build.BuildError, match="aarch64-macos"):
        native_build.find_build({"SATSUMA_TARGET": "riscv64-linux-gnu"})
    with pytest.raises(native_build.BuildError, match="this machine"):
        native_build.find_build({"SATSUMA_TARGET": "aarch64-macos", "SATSUMA_CC": "true"})


@needs_kernels
def test_other_compiler_compiles_once(tree: Path, tmp_path: Path) -> None:
    """SATSUMA_CC compiles the sources as they are, and again only if they changed."""
    (compiler := tmp_path / "some-clang").write_text(
        f"""#!/bin/sh
echo x >>{tmp_path}/calls
if [ -e {tmp_path}/has-compiled ] && [ "$1" != --version ]; then
    shift $(($# - 1)) && : >"$1" # that it is called again is enough: compiling takes seconds
else
    exec {sys.executable} -m ziglang cc "$@"
fi
"""
    )
    compiler.chmod(0o755)
    command = [sys.executable, "scripts/native_build.py"]
    calls = []
    for change in ("", "", "\n"):
        with (tree / "src" / NATIVE / "select.c").open("a") as source:
            source.write(change)
        (tmp_path / "calls").write_text("")
        done = run(command, tree, {"SATSUMA_CC": shlex.quote(str(compiler))})
        assert done.returncode == 0, done.stderr
        calls.append((tmp_path / "calls").read_text().count("x"))
        (tmp_path / "has-compiled").touch()
    assert calls[0] == calls[2] > 4
    assert calls[1] == 1  # for its version
    assert (tree / "src" / LIBRARY).is_file()


@needs_kernels
def test_error_is_the_compilers(tree: Path, tmp_path: Path) -> None:
    """Sources that do not compile end the build with what the compiler said, and the way out."""
    (tree / "src" / NATIVE / native_build.KERNEL_SOURCE).write_text("")  # which takes seconds
    (tree / "src" / NATIVE / "select.c").write_text("int broken(void) { return nothing; }\n")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    done = run(command, tree)
    assert done.returncode != 0
    assert "use of undeclared identifier 'nothing'" in done.stderr
    assert "SATSUMA_BUILD_NATIVE=0" in done.stderr
    assert run([sys.executable, "scripts/native_build.py"], tree).returncode == 1
