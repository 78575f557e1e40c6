"""The engines that the same tests run over, and the environment that has PyTorch."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from satsuma.engine.load import LoadedModel, load_model
from satsuma.settings import load_settings
from satsuma.store.manifest import ModelFiles, ModelManifest
from satsuma.types import Engine

ROOT = Path(__file__).parent.parent.parent
TORCH_PYTHON = ROOT / ".venv" / "torch" / "bin" / "python"
_SCRIPT = ROOT / "scripts" / "torch_environment.py"

HAS_TORCH = importlib.util.find_spec("torch") is not None
TORCH = pytest.param(
    Engine.TORCH,
    marks=pytest.mark.skipif(not HAS_TORCH, reason="PyTorch is in an environment of its own"),
)
ENGINES = (Engine.NATIVE, Engine.ONNX, TORCH)
EVERY_FAMILY = (Engine.NATIVE, TORCH)  # that know every architecture


def need_torch() -> None:
    """Skip, or in CI fail, where PyTorch is not installed as the requirements say."""
    done = subprocess.run([sys.executable, str(_SCRIPT), "--check"], check=False, timeout=60)
    if done.returncode == 0:
        return
    reason = "PyTorch is not installed for the tests; run: make torch-test"
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def local_files(folder: Path) -> ModelFiles:
    """A folder as an installed model."""
    manifest = ModelManifest(f"@local/{folder.name}", "", "", ())
    return ModelFiles(manifest, folder, folder / ".graphs", "1" * 64)


def load_local(folder: Path, **flags: object) -> LoadedModel:
    """Load a folder as a model, on two cores."""
    settings = load_settings({"threads": 2, "device": "cpu", **flags}, environ={})
    return load_model(local_files(folder), settings)
