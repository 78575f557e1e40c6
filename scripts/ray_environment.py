"""Make or update .venv/ray, in which the tests run Ray.

Ray brings some fifty packages; they stay out of the main environment, whose packages this one sees
beside its own. What is up to date is left alone.
"""

from __future__ import annotations

import argparse
import sys
import sysconfig
from functools import partial
from pathlib import Path

from client_environments import ROOT, Environment, InstallError, make_venv, update

FOLDER = ROOT / ".venv" / "ray"
REQUIREMENTS = Path(__file__).with_name("requirements-ray.txt")


def find_environment() -> Environment:
    """Describe the one environment."""
    install = partial(make_layer, FOLDER, REQUIREMENTS)
    return Environment("ray", FOLDER, (REQUIREMENTS,), install)


def make_layer(folder: Path, requirements: Path) -> None:
    """Make an environment anew, on top of the packages that are here already.

    Raises:
        InstallError: if something cannot be had.
    """
    places = {"base": str(folder), "platbase": str(folder)}
    link = Path(sysconfig.get_path("purelib", vars=places)) / "main.pth"
    main = sysconfig.get_path("purelib")
    # `addsitedir` heeds the .pth files there too: the editable install is one
    line = f"import site; site.addsitedir({main!r})\n"
    make_venv(folder, requirements, lambda: link.write_text(line))


def run(environment: Environment, description: str) -> None:
    """Update an environment, or with --check say whether it is up to date."""
    parser = argparse.ArgumentParser(description=description.split("\n", maxsplit=1)[0])
    parser.add_argument(
        "--check", action="store_true", help="install nothing; exit with 1 if stale"
    )
    arguments = parser.parse_args()
    if environment.is_current or arguments.check:
        sys.exit(not environment.is_current)
    try:
        update(environment, group="tests")
    except InstallError as error:
        sys.exit(f"{environment.name} could not be installed: {error}")


if __name__ == "__main__":
    run(find_environment(), __doc__)
