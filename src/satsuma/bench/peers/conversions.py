"""Weights in the formats of other libraries, written by their own tools in their environments."""

from __future__ import annotations

import hashlib
import subprocess
from dataclasses import dataclass
from pathlib import Path

from satsuma.bench.peers.environments import Environment
from satsuma.bench.peers.errors import PeerError, last_line
from satsuma.bench.peers.surroundings import child_environ

CONVERSION_TIMEOUT_S = 900.0

_CONVERTERS = Path(__file__).parent / "converters"
_PACKAGE = "satsuma.bench.peers.converters"


@dataclass(frozen=True, slots=True)
class Conversion:
    """One format of one model.

    Attributes:
        name: of the program in `converters/`.
        precision: of the weights that it writes.
        environment: in which it runs.
        folder: of the model.
    """

    name: str
    precision: str
    environment: Environment
    folder: Path

    @property
    def stamp(self) -> Path:
        """The file that is written last."""
        return self.folder / f".converted-{self.name}-{self.precision}"

    @property
    def digest(self) -> str:
        """What the stamp must say: the program and its packages."""
        program = (_CONVERTERS / f"{self.name}.py").read_bytes()
        return hashlib.sha256(program + self.environment.requirements.read_bytes()).hexdigest()

    @property
    def is_current(self) -> bool:
        """Whether the files are there and of this program."""
        return self.stamp.is_file() and self.stamp.read_text(encoding="ascii") == self.digest


def convert(conversion: Conversion, threads: int) -> None:
    """Run a converter.

    Raises:
        PeerError: if it fails, with its last words.
    """
    module = f"{_PACKAGE}.{conversion.name}"
    python = str(conversion.environment.python)
    command = [python, "-P", "-m", module, str(conversion.folder), conversion.precision]
    failure = f"no {conversion.precision} for {conversion.name}"
    try:
        done = subprocess.run(
            command,
            env=child_environ(threads),
            capture_output=True,
            text=True,
            timeout=CONVERSION_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        minutes = CONVERSION_TIMEOUT_S / 60
        raise PeerError(f"{failure}: converting took more than {minutes:.0f} minutes") from error
    if done.returncode != 0:
        raise PeerError(f"{failure}: {last_line(done.stderr)}")
    conversion.stamp.write_text(conversion.digest, encoding="ascii")
