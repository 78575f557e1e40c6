"""The ways through satsuma that are timed in this process: the bare engine, and the whole path.

`engine` is one call of the encoder over all cores, tokens in and hidden states out. `ai` is what
a caller of `satsuma.ai.Ai` gets: validation, tokenising, scheduling, pooling and answer included.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from satsuma.ai import Ai
from satsuma.bench.measure import Contender
from satsuma.bench.random_model import ModelShape, find_tokenizer_json, write_random_model
from satsuma.bench.workload import Workload, workload_flops
from satsuma.engine.load import LoadedModel, load_model
from satsuma.engine.protocol import Microbatch, Width
from satsuma.settings import CPU_DEVICE, Settings
from satsuma.store.local import ModelStore

NUM_VARIANTS = 8


def model_id(shape: ModelShape) -> str:
    """Name the folder of a shape's random weights as the store does."""
    return f"@local/{shape.name}-random"


def ensure_model(models_dir: Path, shape: ModelShape) -> None:
    """Write a shape's random weights unless they are there; half a folder is never seen."""
    folder = models_dir / model_id(shape).removeprefix("@local/")
    if folder.is_dir():
        return
    models_dir.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".writing-", dir=models_dir))
    try:
        write_random_model(staging, shape, find_tokenizer_json())
        os.replace(staging, folder)  # noqa: PTH105 - unlike rename, the same on every system
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def load_random(models_dir: Path, shape: ModelShape, threads: int) -> LoadedModel:
    """Load a shape's random weights, past service and scheduler."""
    settings = Settings(
        models_dir=models_dir, threads=threads, device=CPU_DEVICE, skip_self_test=True
    )
    return load_model(ModelStore(models_dir).resolve(model_id(shape)), settings)


def engine_contender(loaded: LoadedModel, shape: ModelShape, workload: Workload) -> Contender:
    """Time the encoder itself, with all texts in one microbatch over all cores."""
    microbatches = [
        Microbatch.pack([tokens.ids for tokens in loaded.tokenizer.tokenize(texts)])
        for texts in _variants(workload)
    ]

    def run(number: int) -> object:
        return loaded.encoder.encode(microbatches[number % NUM_VARIANTS], Width.ALL_CORES)

    return _contender("engine", shape, workload, run)


def ai_contender(ai: Ai, shape: ModelShape, workload: Workload) -> Contender:
    """Time the whole path in this process."""
    inputs = [{"text": texts} for texts in _variants(workload)]
    model = model_id(shape)

    def run(number: int) -> object:
        return ai.run(model, inputs[number % NUM_VARIANTS])

    return _contender("ai", shape, workload, run)


def _variants(workload: Workload) -> Sequence[list[str]]:
    return [workload.texts(variant) for variant in range(NUM_VARIANTS)]


def _contender(
    path: str, shape: ModelShape, workload: Workload, run: Callable[[int], object]
) -> Contender:
    flops = workload_flops(shape, workload.lengths)
    return Contender(path, workload.name, workload.num_tokens, flops, run)
