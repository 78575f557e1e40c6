"""Compile the native engine: the C sources -> libsatsuma.so, for this machine or for another.

The compiler is the one of Zig, a clang that comes from the package index and brings every target's
C library. So the same sources give the same library on every machine, and it runs on systems far
older than the one that compiled it. hatch_build.py calls this for every install and every wheel.

SATSUMA_BUILD_NATIVE=0 compiles nothing, SATSUMA_TARGET names another machine, and SATSUMA_CC
another compiler, which must understand clang's flags.
"""

from __future__ import annotations

import argparse
import filecmp
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import tomllib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "src" / "satsuma" / "engine" / "native"
BUILD = ROOT / "build" / "native"
LIBRARY_NAME = "libsatsuma.so"  # on macOS too: ctypes alone loads it

# kernels.c is compiled once for each; every other source once. The flags are what select.c asks the
# processor for, and not a whole x86-64 level: a compiler uses whatever it is allowed to.
_AVX2 = ("-mavx2", "-mfma")
_AVX512 = (*_AVX2, "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl")
VARIANTS: dict[str, dict[str, tuple[str, ...]]] = {
    "x86_64": {
        "generic": (),
        "avx2": _AVX2,
        "avxvnni": (*_AVX2, "-mavxvnni"),
        "avx512": _AVX512,
        "avx512vnni": (*_AVX512, "-mavx512vnni"),
    },
    "aarch64": {"generic": (), "dotprod": ("-mcpu=generic+dotprod",)},
}
KERNEL_SOURCE = "kernels.c"

# system -> what Zig calls it, with the oldest release that the library runs on, and a wheel's tag
_SYSTEMS = {
    "linux-gnu": ("linux-gnu.2.17", "manylinux_2_17"),
    "linux-musl": ("linux-musl", "musllinux_1_2"),
    "macos": ("macos.11.0", "macosx_11_0"),
}

_FLAGS = (
    *(
        "-std=gnu11",
        "-fPIC",
        "-fvisibility=hidden",
        "-pthread",
        "-fno-sanitize=all",
        "-Wall",
        "-Wextra",
        "-Wno-psabi",
    ),
    *("-ffp-contract=fast", "-fno-math-errno"),  # the second makes a square root one instruction
)
_KERNEL_FLAGS = ("-O3",)
_OTHER_FLAGS = ("-O2",)
_LINK_FLAGS = ("-O2", "-shared", "-s", "-pthread", "-fno-sanitize=all")
_ZIG_LINK_FLAGS = ("-nostartfiles", "-rtlib=none")  # else Zig compiles a runtime nobody calls


class BuildError(Exception):
    """The library cannot be compiled; the text says why, often in the compiler's words."""


class MissingCompilerError(BuildError):
    """Zig is not in this environment, or not the release that every install takes."""


@dataclass(frozen=True)
class Target:
    """A machine that there are kernels for.

    Attributes:
        machine: as VARIANTS calls its instruction set.
        system: as _SYSTEMS calls its operating system and C library.
    """

    machine: str
    system: str

    @property
    def triple(self) -> str:
        """What Zig calls it."""
        return f"{self.machine}-{_SYSTEMS[self.system][0]}"

    @property
    def wheel_platform(self) -> str:
        """The last part of a wheel's tag."""
        is_apple_arm = (self.machine, self.system) == ("aarch64", "macos")
        return f"{_SYSTEMS[self.system][1]}_{'arm64' if is_apple_arm else self.machine}"


TARGETS = {
    f"{machine}-{system}": Target(machine, system) for machine in VARIANTS for system in _SYSTEMS
}


def describe_host() -> str:
    """Name this machine as TARGETS would; most such names are of no target."""
    machine = platform.machine().lower()
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(machine, machine)
    if sys.maxsize < 2**32:
        machine += "-32"
    if platform.system() != "Linux":
        return f"{machine}-{platform.system().lower().replace('darwin', 'macos')}"
    host = str(sysconfig.get_config_var("HOST_GNU_TYPE"))
    library = next((one for one in ("musl", "android") if one in host), "gnu")
    return f"{machine}-linux-{library}"


@dataclass(frozen=True)
class Compiler:
    """A command that takes clang's flags.

    Attributes:
        command: its words.
        identity: changes whenever the compiler may write something else.
        is_zig: whether it compiles for every target.
    """

    command: tuple[str, ...]
    identity: str
    is_zig: bool


def zig_requirement() -> str:
    """Return what pip is asked for; one release, since another one writes another library."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (requirement,) = groups["dependency-groups"]["native"]
    return str(requirement)


def find_compiler(environ: Mapping[str, str]) -> Compiler:
    """Return the compiler that SATSUMA_CC names, or Zig's, which need not be installed yet."""
    if command := tuple(shlex.split(environ.get("SATSUMA_CC", ""))):
        is_zig = any(Path(word).name in {"zig", "ziglang"} for word in command)
        return Compiler(command, run_tool([*command, "--version"], environ), is_zig)
    return Compiler((sys.executable, "-m", "ziglang", "cc"), zig_requirement(), is_zig=True)


def _check_zig() -> None:
    wanted = zig_requirement()
    try:
        found = f"ziglang=={metadata.version('ziglang')}"
    except metadata.PackageNotFoundError:
        found = "none"
    if found != wanted:
        raise MissingCompilerError(f"The native engine wants {wanted}, and here is {found}.")


@dataclass(frozen=True)
class Build:
    """One library to compile.

    Attributes:
        target: what it is for.
        compiler: what compiles it.
        environ: of the compiler's process.
    """

    target: Target
    compiler: Compiler
    environ: Mapping[str, str]

    @property
    def library(self) -> Path:
        """Where it will be."""
        return BUILD / f"{self.target.machine}-{self.target.system}" / LIBRARY_NAME

    @property
    def wheel_platform(self) -> str:
        """The last part of a wheel's tag: what another compiler than Zig makes fits this system."""
        if self.compiler.is_zig:
            return self.target.wheel_platform
        return sysconfig.get_platform().replace("-", "_").replace(".", "_")

    @property
    def digest(self) -> str:
        """What the stamp must say: the sources, the commands and the compiler."""
        digest = hashlib.sha256(self.compiler.identity.encode())
        for command in [*self._compilations(Path()), self._link([], Path())]:
            digest.update(shlex.join(command[len(self.compiler.command) :]).encode())
        for source in sorted(SOURCES.glob("*.[ch]")):
            digest.update(source.name.encode() + source.read_bytes())
        return digest.hexdigest()

    @property
    def _stamp(self) -> Path:
        return self.library.with_suffix(".stamp")

    @property
    def is_current(self) -> bool:
        """Whether the library is there already, of these sources by this compiler."""
        is_whole = self.library.is_file() and self._stamp.is_file()
        return is_whole and self._stamp.read_text() == self.digest

    def run(self) -> None:
        """Compile and link, unless that is done.

        Raises:
            BuildError: if the compiler is missing, or reports an error.
        """
        if self.is_current:
            return
        if not self.environ.get("SATSUMA_CC"):
            _check_zig()
        self.library.parent.mkdir(parents=True, exist_ok=True)
        self._stamp.unlink(missing_ok=True)
        with tempfile.TemporaryDirectory(dir=self.library.parent) as name:
            linked = Path(name) / LIBRARY_NAME
            run_tool(self._link(self.compile(Path(name)), linked), self.environ)
            linked.replace(self.library)
        self._stamp.write_text(self.digest)

    def compile(self, folder: Path, *more_flags: str) -> list[str]:
        """Compile every source into a folder, with a test's flags last; returns the objects."""
        commands = [[*one, *more_flags] for one in self._compilations(folder)]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for said in pool.map(partial(run_tool, environ=self.environ), commands):
                sys.stderr.write(said)  # warnings
        return [str(one) for one in sorted(folder.glob("*.o"))]

    def _compilations(self, folder: Path) -> Iterator[list[str]]:
        for name, flags in VARIANTS[self.target.machine].items():
            named = [*_KERNEL_FLAGS, *flags, f"-DKERNELS_NAME={name}"]
            yield self._compilation(KERNEL_SOURCE, named, folder / f"kernels_{name}.o")
        for source in sorted(SOURCES.glob("*.c")):
            if source.name != KERNEL_SOURCE:
                yield self._compilation(source.name, [*_OTHER_FLAGS], folder / f"{source.stem}.o")

    def _compilation(self, source: str, flags: list[str], result: Path) -> list[str]:
        return [*self.command, *_FLAGS, *flags, "-c", source, "-o", str(result)]

    def _link(self, objects: list[str], result: Path) -> list[str]:
        flags = [*_LINK_FLAGS, *(_ZIG_LINK_FLAGS if self.compiler.is_zig else ())]
        if self.target.system == "macos":
            flags += [f"-Wl,-install_name,@rpath/{LIBRARY_NAME}"]  # not the path of this build
        else:
            flags += ["-Wl,-z,defs"]  # a function that nobody has is an error here
        return [*self.command, *flags, *objects, "-o", str(result)]

    @property
    def command(self) -> list[str]:
        """The compiler's command, for this target."""
        target = ["-target", self.target.triple] if self.compiler.is_zig else []
        return [*self.compiler.command, *target]


def find_build(environ: Mapping[str, str] = os.environ) -> Build | None:
    """Return what is to be compiled; None if nothing is, by wish or for want of kernels.

    Raises:
        BuildError: if what the environment asks for cannot be had.
    """
    if environ.get("SATSUMA_BUILD_NATIVE") == "0":
        return None
    wanted = environ.get("SATSUMA_TARGET")
    if wanted and wanted not in TARGETS:
        raise BuildError(f"SATSUMA_TARGET={wanted} is none of {', '.join(TARGETS)}.")
    target = TARGETS.get(wanted or describe_host())
    if target is None:
        return None
    compiler = find_compiler(environ)
    if wanted and not compiler.is_zig:
        raise BuildError("SATSUMA_TARGET wants Zig; SATSUMA_CC compiles for this machine.")
    # Zig's own caches are by default below the user's home.
    caches = {name: str(BUILD / "zig") for name in ("ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR")}
    return Build(target, compiler, caches | dict(environ))


def find_requirements(environ: Mapping[str, str] = os.environ) -> list[str]:
    """Return what pip has to install before the build: the compiler, where one will run."""
    build = find_build(environ)
    if build is None or environ.get("SATSUMA_CC") or build.is_current:
        return []
    return [zig_requirement()]


def place(build: Build | None) -> Path:
    """Make the source tree's library that one, or none; who has the old one loaded keeps it."""
    placed = SOURCES / LIBRARY_NAME
    if build is None:
        placed.unlink(missing_ok=True)
    elif not placed.is_file() or not filecmp.cmp(build.library, placed, shallow=False):
        copy = placed.with_suffix(f".so.{os.getpid()}")
        shutil.copyfile(build.library, copy)
        copy.replace(placed)
    return placed


def run_tool(command: list[str], environ: Mapping[str, str]) -> str:
    """Run the compiler among the sources, and return what it said.

    Raises:
        BuildError: if it cannot be started, or reports an error.
    """
    try:
        done = subprocess.run(
            command,
            cwd=SOURCES,
            env=dict(environ),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    except OSError as error:
        raise BuildError(f"The compiler cannot be started: {error}") from error
    if done.returncode != 0:
        hint = "SATSUMA_BUILD_NATIVE=0 installs satsuma without the native engine."
        raise BuildError("\n".join([shlex.join(command), done.stdout, hint]))
    return done.stdout


def main() -> None:
    """Compile for this machine into the source tree, or with --all for every target into build/."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--all", action="store_true", help="every target, into build/native/")
    arguments = parser.parse_args()
    names: list[str | None] = [*TARGETS] if arguments.all else [os.environ.get("SATSUMA_TARGET")]
    for name in names:
        started = time.monotonic()
        build = find_build(os.environ | ({"SATSUMA_TARGET": name} if name else {}))
        if build is None:
            place(None)
            print("native: nothing to compile here; ONNX Runtime does without")
            return
        build.run()
        library = build.library if name else place(build)
        spent_s = time.monotonic() - started
        print(
            f"native: {library.relative_to(ROOT)}, {library.stat().st_size} bytes, {spent_s:.1f} s"
        )


if __name__ == "__main__":
    try:
        main()
    except BuildError as error:
        print(f"native: {error}", file=sys.stderr)
        sys.exit(3 if isinstance(error, MissingCompilerError) else 1)
