"""What every contender's process gets from outside: the same threads, and no way to the network."""

from __future__ import annotations

import os

_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "RAYON_NUM_THREADS",  # tokenizers
)
_FIXED = {
    "TOKENIZERS_PARALLELISM": "true",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "CUDA_VISIBLE_DEVICES": "",
    "PYTHONUNBUFFERED": "1",
}
_DROPPED = ("PYTHONPATH", "PYTHONHOME")  # of this environment, not of the library's


def child_environ(threads: int) -> dict[str, str]:
    """Make the environment variables of a contender's process."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in _DROPPED and not name.startswith("SATSUMA_")
    }
    return inherited | _FIXED | dict.fromkeys(_THREAD_VARIABLES, str(threads))
