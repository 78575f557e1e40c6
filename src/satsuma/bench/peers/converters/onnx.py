"""ONNX graphs as sentence-transformers exports and quantises them: `onnx.py FOLDER PRECISION`.

ONNX Runtime, FastEmbed and sentence-transformers all run these files.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from sentence_transformers import (  # type: ignore[import-not-found]
    SentenceTransformer,
    export_dynamic_quantized_onnx_model,
)

_CPU_KINDS = ("avx512_vnni", "avx512f", "avx2")  # best first, as Linux spells them
_CONFIGURATIONS = {"avx512_vnni": "avx512_vnni", "avx512f": "avx512", "avx2": "avx2"}


def main(folder: Path, precision: str) -> None:
    """Write onnx/model.onnx or onnx/model_int8.onnx."""
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        if precision == "fp32":
            _export(folder, Path(temporary))
        else:
            _quantise(folder, Path(temporary))
        (folder / "onnx").mkdir(exist_ok=True)
        for path in (Path(temporary) / "onnx").glob("*.onnx*"):
            path.replace(folder / "onnx" / path.name)


def _export(folder: Path, target: Path) -> None:
    """Export anew, even where a graph lies in the folder already."""
    kwargs = {"export": True, "provider": "CPUExecutionProvider"}
    model = SentenceTransformer(str(folder), backend="onnx", device="cpu", model_kwargs=kwargs)
    model.save_pretrained(str(target))


def _quantise(folder: Path, target: Path) -> None:
    """Quantise the weights per channel, the activations at run time."""
    kwargs = {"file_name": "onnx/model.onnx", "provider": "CPUExecutionProvider"}
    model = SentenceTransformer(str(folder), backend="onnx", device="cpu", model_kwargs=kwargs)
    export_dynamic_quantized_onnx_model(model, _configuration(), str(target), file_suffix="int8")


def _configuration(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Choose sentence-transformers' configuration for this processor."""
    if not cpuinfo.is_file():
        return "arm64" if sys.platform == "darwin" else "avx2"
    words = set(cpuinfo.read_text(encoding="utf-8").split())
    return next((_CONFIGURATIONS[kind] for kind in _CPU_KINDS if kind in words), "arm64")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
