"""Measure satsuma's engine on a card, beside its limits and sentence-transformers.

Installs and builds nothing: it runs from the sources, with whichever Python has PyTorch,
transformers, tokenizers and safetensors, and for the comparison sentence-transformers.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from satsuma.bench.gpu.command import main

if __name__ == "__main__":
    main()
