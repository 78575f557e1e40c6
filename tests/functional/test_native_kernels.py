"""The native engine's C alone: tests/native/test_kernels.c, beside plain loops."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import native_build
import pytest
from native_build import Build

PROGRAM = native_build.ROOT / "tests" / "native" / "test_kernels.c"
QEMU = shutil.which("qemu-aarch64-static") or shutil.which("qemu-aarch64")


def find_build(target: str = "") -> Build:
    """What is compiled for a target, or for this machine, whose library the tests take."""
    environ = {**os.environ, "SATSUMA_TARGET": target}
    environ.pop("SATSUMA_BUILD_NATIVE", None)
    build = native_build.find_build(environ)
    if build is None:
        pytest.skip("there are no kernels for this machine")
    return build


def link(build: Build, program: Path, *words: str) -> Path:
    """Make the test's program of objects or a library."""
    flags = ["-O2", "-std=gnu11", "-pthread", "-Wall", "-Wextra", "-Werror", "-fno-sanitize=all"]
    files = [str(PROGRAM), *words, "-lm", "-o", str(program)]
    native_build.run_tool([*build.command, *flags, "-I.", *files], build.environ)
    return program


def run(*command: str | Path) -> None:
    """Run the program; what it printed says which step was wrong."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("embedding") >= 2  # alone and with helpers


def test_library_is_right(tmp_path: Path) -> None:
    """The very library that is installed, for every kernel that this processor runs."""
    build = find_build()
    build.run()
    folder = str(build.library.parent)
    run(link(build, tmp_path / "program", str(build.library), f"-Wl,-rpath,{folder}"))


def test_no_undefined_behaviour(tmp_path: Path) -> None:
    """Compiled so that undefined behaviour ends the program; warnings are errors here."""
    build = find_build()
    flags = ("-O1", "-Werror", "-fsanitize=undefined", "-fsanitize-trap=undefined")
    run(link(build, tmp_path / "program", *build.compile(tmp_path, *flags), "-rtlib=none"))


@pytest.mark.skipif(QEMU is None, reason="needs qemu-aarch64, to run a program for ARM")
def test_arm_is_right(tmp_path: Path) -> None:
    """The kernels of ARM, on a processor that Debian's qemu-user-static emulates."""
    build = find_build("aarch64-linux-musl")
    run(str(QEMU), link(build, tmp_path / "program", *build.compile(tmp_path), "-static"))
