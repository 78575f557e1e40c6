"""Make or update .venv/torch, in which the tests run the PyTorch engine.

PyTorch is large, and nothing else needs it; it stays out of the main environment, whose packages
this one sees beside its own. What is up to date is left alone.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from client_environments import ROOT, Environment
from ray_environment import make_layer, run

FOLDER = ROOT / ".venv" / "torch"
REQUIREMENTS = Path(__file__).with_name("requirements-torch.txt")


def find_environment() -> Environment:
    """Describe the one environment."""
    install = partial(make_layer, FOLDER, REQUIREMENTS)
    return Environment("torch", FOLDER, (REQUIREMENTS,), install)


if __name__ == "__main__":
    run(find_environment(), __doc__)
