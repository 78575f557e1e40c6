"""CTranslate2's model folder, by its own converter: `ctranslate2.py FOLDER PRECISION`."""

from __future__ import annotations

import sys
from pathlib import Path

from ctranslate2.converters import TransformersConverter  # type: ignore[import-not-found]

_QUANTISATIONS = {"fp32": "float32", "int8": "int8"}


def main(folder: Path, precision: str) -> None:
    """Write ctranslate2/PRECISION."""
    target = folder / "ctranslate2" / precision
    target.parent.mkdir(exist_ok=True)
    converter = TransformersConverter(str(folder))
    converter.convert(str(target), quantization=_QUANTISATIONS[precision], force=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
