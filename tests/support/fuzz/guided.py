"""Inputs that follow the code: whatever reaches a branch that none has reached is changed further.

atheris (libFuzzer) does that to one target in a process of its own, which is this file as a
program: `python guided.py TARGET FOLDER FLAGS...`.

Source: https://llvm.org/docs/LibFuzzer.html (flags, and what it prints)
"""

from __future__ import annotations

import re
import resource
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

_MOST_BYTES = 4096  # of an input
_MOST_MB = 2048  # of an input: more is a bomb
_MOST_S = 20  # of an input: more is a trap
_SHOWN_CHARACTERS = 4000

IS_HERE = find_spec("atheris") is not None


@dataclass(frozen=True, slots=True)
class Guided:
    """What came of a target.

    Attributes:
        num_branches: of satsuma's own code, that were reached.
        failure: the first that was not as expected, and the bytes that led there; empty if none.
    """

    num_inputs: int
    num_branches: int
    failure: str = ""


def try_guided(
    name: str, folder: Path, *, seed: int, seconds: int = 0, num_inputs: int = -1
) -> Guided:
    """Try a target for so long, or with so many inputs; what was found is kept in the folder."""
    flags = [f"-seed={seed}", f"-max_len={_MOST_BYTES}", f"-max_total_time={seconds}"]
    flags += [f"-runs={num_inputs}", f"-rss_limit_mb={_own_mb() + _MOST_MB}"]
    flags += [f"-timeout={_MOST_S}"]
    flags += [f"-artifact_prefix={folder}/", "-print_final_stats=1"]
    command = [sys.executable, __file__, name, str(folder), *flags]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    told = done.stdout + done.stderr
    return Guided(
        num_inputs=_last(r"number_of_executed_units: (\d+)", told),
        num_branches=_last(r" cov: (\d+) ", told),
        failure=told[-_SHOWN_CHARACTERS:] if done.returncode else "",
    )


def _own_mb() -> int:
    """Tell the most memory that this process has had, which counts as its children's from then."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> (
        20 if sys.platform == "darwin" else 10
    )


def _last(pattern: str, told: str) -> int:
    found = re.findall(pattern, told)
    return int(found[-1]) if found else 0


def main() -> None:
    """Let libFuzzer loose; it ends the process."""
    name, folder, *flags = sys.argv[1:]
    import atheris  # noqa: PLC0415 - where it is not installed, there is still the rest of this file

    with atheris.instrument_imports(include=["satsuma"]):
        from support.fuzz.catalog import TARGETS  # noqa: PLC0415 - counted from here on
    (target,) = [one for one in TARGETS if one.name == name]
    corpus, scratch = Path(folder, "corpus"), Path(folder, "scratch")
    for new in (corpus, scratch):
        new.mkdir(exist_ok=True)
    for place, whole in enumerate(target.wholes):
        (corpus / str(place)).write_bytes(whole)
    with target.open(scratch) as check:
        atheris.Setup([sys.argv[0], str(corpus), *flags], lambda raw: check(target.read(raw)))
        atheris.Fuzz()


if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[2])  # as pytest's `pythonpath`
    main()
