"""Look up known vulnerabilities of what satsuma installs, and write down what that is.

`make audit`, and a part of `make release`. The list goes to dist/ in CycloneDX's form, for whoever
keeps an inventory. The vulnerabilities are asked for at the Python package index; where that does
not answer, nothing was audited, which is said, and the exit code is 3.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
import venv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / "build" / "audit"
LISTED_EXTRAS = "all"  # what a server has; Ray's packages are a cluster's own, PyTorch's a card's
UNAUDITED: Final = 3
VULNERABLE: Final = 1


@dataclass(frozen=True)
class Verdict:
    """What the index said.

    Attributes:
        num_audited: packages of which it knows.
        vulnerable: `name version: ids` of each with known vulnerabilities.
        unknown: names of those of which it said nothing.
    """

    num_audited: int
    vulnerable: tuple[str, ...]
    unknown: tuple[str, ...]


def main() -> None:
    """Write the list, then ask."""
    _, code = audit(ROOT)
    sys.exit(code)


def audit(package: Path) -> tuple[Path, int]:
    """Write the list of what a package installs, and ask for vulnerabilities of all its extras.

    Args:
        package: a wheel, or the folder of the sources.

    Returns:
        The list, in dist/, and an exit code: 0, `VULNERABLE` or `UNAUDITED`.
    """
    tools = _environment("tools", ["--group", f"{ROOT / 'pyproject.toml'}:audit"])
    installed = _environment("satsuma", [f"{package}[{LISTED_EXTRAS}]"])
    listed = _write_list(tools, installed)
    print(f"audit: what is installed is listed in {listed.relative_to(ROOT)}")
    extras = ",".join(list_extras())
    pins = _resolve(installed, f"{package}[{extras}]")
    print(f"audit: satsuma[{extras}] takes {len(pins)} packages")
    return listed, conclude(_ask(tools, pins))


def list_extras() -> list[str]:
    """Name every extra that there is, but for `all`, which names others."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return sorted(set(project["optional-dependencies"]) - {"all"})


def _environment(name: str, packages: Sequence[str]) -> Path:
    """Make an environment of what the index has today, and give its folder of programs."""
    folder = WORK / name
    venv.create(folder, with_pip=True, clear=True)
    programs = folder / "bin"
    _run(programs / "python", "-m", "pip", "install", "--quiet", "--upgrade", "pip>=25.1")
    _run(programs / "python", "-m", "pip", "install", "--quiet", *packages)
    return programs


def _write_list(tools: Path, installed: Path) -> Path:
    """Write the CycloneDX document of an environment's packages, with licences and addresses."""
    version = _run(installed / "satsuma", "--version").split()[-1]
    target = ROOT / "dist" / f"satsuma-{version}.cdx.json"
    target.parent.mkdir(exist_ok=True)
    flags: list[str | Path] = ["--pyproject", ROOT / "pyproject.toml", "--output-reproducible"]
    flags += ["--output-file", target]
    _run(tools / "cyclonedx-py", "environment", *flags, installed / "python")
    return target


def _resolve(installed: Path, wanted: str) -> list[str]:
    """Ask pip what it would install: `name==version` of each.

    PyTorch's build for cards is gigabytes: of a wheel only its metadata is read.
    """
    report = WORK / "resolved.json"
    flags: list[str | Path] = ["--quiet", "--dry-run", "--ignore-installed", "--report", report]
    flags += ["--use-feature=fast-deps"]
    _run(installed / "python", "-m", "pip", "install", *flags, wanted)
    found = (one["metadata"] for one in json.loads(report.read_text())["install"])
    pins = (f"{one['name']}=={one['version']}" for one in found if one["name"] != "satsuma")
    return sorted(pins, key=str.lower)


def _ask(tools: Path, pins: Sequence[str]) -> Verdict | None:
    """Ask for each package's vulnerabilities; None if nobody answers."""
    wanted, told = WORK / "pins.txt", WORK / "told.json"
    wanted.write_text("\n".join(pins) + "\n")
    told.unlink(missing_ok=True)
    flags: list[str | Path] = ["--no-deps", "--disable-pip", "--format", "json", "--output", told]
    flags += ["--progress-spinner", "off", "--requirement", wanted]
    command: list[str | Path] = [tools / "pip-audit", *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if not told.exists():
        print(done.stderr.strip()[-1000:], file=sys.stderr)
        return None
    return read_verdict(json.loads(told.read_text()))


def read_verdict(told: Mapping[str, Any]) -> Verdict:
    """Tell packages that were looked up from those of which nothing was said."""
    audited = [one for one in told["dependencies"] if "skip_reason" not in one]
    vulnerable = tuple(
        f"{one['name']} {one['version']}: {', '.join(found['id'] for found in one['vulns'])}"
        for one in audited
        if one["vulns"]
    )
    unknown = tuple(one["name"] for one in told["dependencies"] if "skip_reason" in one)
    return Verdict(len(audited), vulnerable, unknown)


def conclude(verdict: Verdict | None) -> int:
    """Say what was found, and give the exit code; None if nobody answered."""
    if verdict is None or not verdict.num_audited:
        print("audit: the index told nothing of vulnerabilities, so NOTHING WAS AUDITED")
        return UNAUDITED
    print(f"audit: {verdict.num_audited} packages audited, {len(verdict.vulnerable)} vulnerable")
    for line in verdict.vulnerable:
        print(f"  {line}")
    if verdict.unknown:
        print(f"audit: nothing was told of {', '.join(verdict.unknown)}")
    return VULNERABLE if verdict.vulnerable else 0


def _run(*command: str | Path) -> str:
    """Run a tool to its good end, and give what it printed."""
    done = subprocess.run(
        list(map(str, command)),
        env=os.environ | {"SATSUMA_BUILD_NATIVE": "0"},  # nothing of ours runs here
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout


if __name__ == "__main__":
    main()
