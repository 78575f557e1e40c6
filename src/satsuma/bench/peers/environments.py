"""Virtual environments for other libraries, each from its own requirement file.

`requirements/<name>.txt` becomes `<environments>/<name>`. A stamp, written last, says what was
installed, so that what is current is left alone and half an install is never taken for a whole one.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from satsuma.bench.peers.errors import PeerError, last_line

REQUIREMENTS = Path(__file__).parent / "requirements"
INSTALL_TIMEOUT_S = 1200.0

_SOURCES = Path(__file__).parents[2]  # the package `satsuma`
_STAMP = ".satsuma-peers"


@dataclass(frozen=True, slots=True)
class Environment:
    """One library's environment.

    Attributes:
        name: of the requirement file.
        folder: where it lies.
        requirements: what belongs in it.
    """

    name: str
    folder: Path
    requirements: Path

    @property
    def python(self) -> Path:
        """The interpreter."""
        return self.folder / "bin" / "python"

    @property
    def digest(self) -> str:
        """What the stamp must say: the packages, and the interpreter that they are for."""
        digest = hashlib.sha256(f"{sys.version}\n{self.folder}\n{_SOURCES}\n".encode())
        digest.update(self.requirements.read_bytes())
        return digest.hexdigest()

    @property
    def is_current(self) -> bool:
        """Whether the last install ended, and was of these requirements."""
        stamp = self.folder / _STAMP
        return stamp.is_file() and stamp.read_text(encoding="ascii") == self.digest


def default_folder() -> Path:
    """Place the environments beside the one that runs, or in the cache where there is none."""
    if sys.prefix != sys.base_prefix:
        return Path(sys.prefix) / "peers"
    return Path(platformdirs.user_cache_dir("satsuma", appauthor=False)) / "bench" / "environments"


def find_environment(name: str, folder: Path) -> Environment:
    """Describe the environment of a requirement file."""
    return Environment(name, folder / name, REQUIREMENTS / f"{name}.txt")


def install(environment: Environment) -> None:
    """Make an environment anew: pip never removes what a requirement no longer names.

    Raises:
        PeerError: if a package cannot be had, with the installer's last words.
    """
    shutil.rmtree(environment.folder, ignore_errors=True)
    venv.create(environment.folder, symlinks=True, with_pip=False)
    _run_pip(environment)
    _link_sources(environment)
    (environment.folder / _STAMP).write_text(environment.digest, encoding="ascii")


def _run_pip(environment: Environment) -> None:
    """Let this environment's pip install into the other one."""
    pip = [sys.executable, "-m", "pip", "--python", str(environment.python)]
    options = ["--quiet", "--no-input", "--no-compile", "--disable-pip-version-check"]
    command = [*pip, "install", *options, "--requirement", str(environment.requirements)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        minutes = INSTALL_TIMEOUT_S / 60
        raise PeerError(f"not installed: pip took more than {minutes:.0f} minutes") from error
    except OSError as error:
        raise PeerError(f"not installed: {error}") from error
    if done.returncode != 0:
        raise PeerError(f"not installed: {_reason(done.stderr or done.stdout)}")


def _reason(output: str) -> str:
    """Prefer pip's own verdict; what follows it is often advice."""
    verdicts = [line for line in output.splitlines() if line.startswith("ERROR:")]
    return verdicts[0].removeprefix("ERROR:").strip() if verdicts else last_line(output)


def _link_sources(environment: Environment) -> None:
    """Let the workers import their protocol from here, and nothing of this environment."""
    (packages,) = environment.folder.glob("lib/python*/site-packages")
    (packages / "satsuma").symlink_to(_SOURCES, target_is_directory=True)
