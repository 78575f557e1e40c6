"""Who takes part: satsuma's engine, and sentence-transformers as people use it."""

from __future__ import annotations

import importlib
import importlib.util
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from safetensors.numpy import load_file

from satsuma.engine.architectures import parse_config
from satsuma.engine.architectures.blueprint import Architecture
from satsuma.engine.budget import find_token_budget
from satsuma.engine.pooling import pool
from satsuma.engine.protocol import Microbatch, Width
from satsuma.engine.pytorch import backend
from satsuma.engine.tokenizer import Tokenizer
from satsuma.types import FloatArray, IntArray, Pooling, Precision

_LANES = 2
_BATCH_SIZES = (32, 256)  # sentence-transformers' default, and one that a card has more of
_AMPERE = (8, 0)
_POOLING = Pooling.CLS  # as the folder's own files say
_WARM_UP = "w1 " * 126  # 128 tokens


class Contender(Protocol):
    """Somebody who embeds texts."""

    @property
    def name(self) -> str:
        """As the report has it."""
        ...

    @property
    def batch_sizes(self) -> tuple[int, ...]:
        """Texts of a batch that it is to be tried with; 0 leaves it to itself."""
        ...

    def embed(self, texts: Sequence[str], batch_size: int = 0) -> FloatArray:
        """Texts to vectors: (B, H)."""
        ...


def least_cosine(found: FloatArray, expected: FloatArray) -> float:
    """Compare rows (B, H), whatever their lengths."""
    lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)  # (B,)
    return float(((found * expected).sum(axis=1) / lengths).min())


@contextmanager
def packed(folder: Path, precision: Precision) -> Iterator[tuple[Architecture, Path]]:
    """Pack a model for as long as the block takes."""
    architecture = Architecture(parse_config(json.loads((folder / "config.json").read_text())))
    weights = load_file(folder / "model.safetensors")
    read, names = weights.__getitem__, list(weights)
    with tempfile.TemporaryDirectory() as place:
        path = Path(place)
        backend.write_packed(names, read, path, architecture=architecture, precision=precision)
        yield architecture, path


class Satsuma:
    """The engine and its lanes, as the scheduler feeds them; no HTTP."""

    def __init__(self, folder: Path, device: str, precision: Precision) -> None:
        """Load a model, and measure its token budget."""
        self.name = f"satsuma {precision}"
        self.batch_sizes = (0,)
        with packed(folder, precision) as (architecture, path):
            self._encoder = backend.open_packed(
                path, architecture=architecture, device=device, threads=torch.get_num_threads()
            )
        self._tokenizer = Tokenizer(folder / "tokenizer.json", architecture.config.max_tokens)
        self._budget = 512
        if device != "cpu":
            item = self.tokenize([_WARM_UP])[0]
            self._budget, _ = find_token_budget(self._encoder, item)
        self._lanes = ThreadPoolExecutor(_LANES if device != "cpu" else 1)

    @property
    def token_budget(self) -> int:
        """Tokens of a microbatch."""
        return self._budget

    def tokenize(self, texts: Sequence[str]) -> list[IntArray]:
        """Make the texts' tokens."""
        return [one.ids for one in self._tokenizer.tokenize(list(texts))]

    def embed(self, texts: Sequence[str], batch_size: int = 0) -> FloatArray:
        """Texts to vectors; see `Contender`."""
        del batch_size
        return self.embed_tokens(self.tokenize(texts))

    def embed_tokens(self, items: Sequence[IntArray]) -> FloatArray:
        """Embed texts that are tokens already: (B, H)."""
        places = list(self._group(items))
        vectors = torch.empty(len(items), self._encoder.hidden_size).numpy()
        for chosen, rows in zip(places, self._lanes.map(self._run(items), places), strict=True):
            vectors[chosen] = rows
        return vectors  # type: ignore[no-any-return]

    def _run(self, items: Sequence[IntArray]) -> Callable[[list[int]], FloatArray]:
        def run(places: list[int]) -> FloatArray:
            microbatch = Microbatch.pack([items[place] for place in places])
            states = self._encoder.encode(microbatch, Width.ONE_LANE)  # (T, H)
            return pool(states, microbatch.lengths, [_POOLING] * len(places))

        return run

    def _group(self, items: Sequence[IntArray]) -> Iterator[list[int]]:
        """Fill microbatches with items of like length, longest first."""
        group: list[int] = []
        num_tokens = 0
        for place in sorted(range(len(items)), key=lambda one: -len(items[one])):
            if group and num_tokens + len(items[place]) > self._budget:
                yield group
                group, num_tokens = [], 0
            group.append(place)
            num_tokens += len(items[place])
        yield group


class SentenceTransformers:
    """`SentenceTransformer.encode`, in half or whole precision."""

    def __init__(self, folder: Path, device: str, precision: Precision, attention: str) -> None:
        """Load a model.

        Args:
            folder: of the model.
            device: as PyTorch names it.
            precision: of the weights.
            attention: as transformers names it; with flash attention it leaves padding out.
        """
        package = importlib.import_module("sentence_transformers")  # it may not be here
        self.batch_sizes = _BATCH_SIZES
        self.name = f"sentence-transformers {precision} {attention}"
        dtype = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[precision]
        self._model = package.SentenceTransformer(
            str(folder),
            device=device,
            model_kwargs={"dtype": dtype, "attn_implementation": attention},
            local_files_only=True,
        )

    def embed(self, texts: Sequence[str], batch_size: int = 0) -> FloatArray:
        """Texts to vectors; see `Contender`."""
        size = batch_size or _BATCH_SIZES[0]
        vectors: FloatArray = self._model.encode(
            list(texts), batch_size=size, show_progress_bar=False
        )
        return vectors


def peers(
    folder: Path, device: torch.device, precision: Precision
) -> Iterator[Callable[[], Contender]]:
    """List who can be compared with here, to be loaded one after another."""
    if importlib.util.find_spec("sentence_transformers") is None:
        return
    names = ["sdpa"]
    if has_flash_attention(device, precision):
        names.append("flash_attention_2")
    for name in names:
        yield lambda name=name: SentenceTransformers(folder, str(device), precision, name)  # type: ignore[misc]


def has_flash_attention(device: torch.device, precision: Precision) -> bool:
    """Tell whether transformers can have it here: for half precisions, from Ampere on."""
    if device.type != "cuda" or precision is Precision.FP32:
        return False
    if torch.cuda.get_device_capability(device) < _AMPERE:
        return False
    return any(importlib.util.find_spec(name) for name in ("flash_attn", "kernels"))


def release() -> dict[str, Any]:
    """Say which releases take part."""
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415

    found: dict[str, Any] = {"torch": torch.__version__}
    for name in ("transformers", "tokenizers", "sentence-transformers", "flash-attn"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found
