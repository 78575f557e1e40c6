"""What a worker is told, and what it answers: a JSON object a line, over stdin and stdout.

`load` makes the library ready, `texts` hands it a workload, `vectors` embeds it once and keeps
the vectors, `sample` times it, `memory` tells the peak. One worker runs at a time; the others wait
for their next line. Needs numpy alone, of any version: the libraries bring their own.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import numpy.typing as npt

from satsuma.bench.peers.memory import read_peak_bytes, reset_peak

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Options:
    """What every worker is told when it loads.

    Attributes:
        folder: of the model, with what its converters wrote below it.
        threads: that the library may use.
        precision: `fp32` or `int8`.
        pooling: `cls` or `mean`.
        max_tokens: longest text, [CLS] and [SEP] included.
        variant: which of a library's ways, where one worker serves several.
    """

    folder: str
    threads: int
    precision: str
    pooling: str
    max_tokens: int
    variant: str = ""


class Embedder(ABC):
    """A library with a model loaded."""

    packages: tuple[str, ...] = ()  # whose versions the report names

    @abstractmethod
    def embed(self, texts: Sequence[str]) -> Vectors:
        """Give an (n, H) array of unit vectors, a row a text."""

    def process_id(self) -> int:
        """Name the process whose memory counts."""
        return os.getpid()

    def close(self) -> None:  # noqa: B027 - most have nothing to close
        """End what was started besides this process."""


@dataclass
class Session:
    """One worker's life, from `load` to the end of stdin."""

    load: Callable[[Options], Embedder]
    clock: Callable[[], float] = time.perf_counter
    _embedder: Embedder | None = None
    _variants: Sequence[Sequence[str]] = field(default_factory=list)
    _num_runs: int = 0

    def answer(self, command: Mapping[str, Any]) -> dict[str, Any]:
        """Do what one line says; a failure is an answer too."""
        try:
            does = {
                "load": self._load,
                "texts": self._take_texts,
                "vectors": self._write_vectors,
                "sample": self._sample,
                "memory": self._tell_memory,
            }[command["do"]]
            return does(command)
        except Exception as error:  # noqa: BLE001 - any library's own; the parent reports it
            traceback.print_exc()
            return {"error": f"{type(error).__name__}: {error}"}

    def close(self) -> None:
        """End the library."""
        if self._embedder is not None:
            self._embedder.close()

    def _load(self, command: Mapping[str, Any]) -> dict[str, Any]:
        self._embedder = self.load(Options(**command["options"]))
        return {"versions": {name: metadata.version(name) for name in self._embedder.packages}}

    def _take_texts(self, command: Mapping[str, Any]) -> dict[str, Any]:
        self._variants, self._num_runs = command["variants"], 0
        reset_peak(self._ready.process_id())
        return {}

    def _write_vectors(self, command: Mapping[str, Any]) -> dict[str, Any]:
        start_s = self.clock()
        vectors = self._ready.embed(self._variants[0])
        took_s = self.clock() - start_s
        np.save(command["path"], np.asarray(vectors, dtype=np.float32))
        return {"seconds": took_s}

    def _sample(self, command: Mapping[str, Any]) -> dict[str, Any]:
        return {"run_seconds": list(self._time_runs(command["seconds"]))}

    def _time_runs(self, seconds: float) -> Iterator[float]:
        """Yield each run's seconds until enough have passed; at least one run."""
        begin_s = end_s = self.clock()
        is_first = True
        while is_first or end_s - begin_s < seconds:
            texts = self._variants[self._num_runs % len(self._variants)]
            start_s = self.clock()
            self._ready.embed(texts)
            end_s = self.clock()
            self._num_runs, is_first = self._num_runs + 1, False
            yield end_s - start_s

    def _tell_memory(self, _: Mapping[str, Any]) -> dict[str, Any]:
        return {"peak_bytes": read_peak_bytes(self._ready.process_id())}

    @property
    def _ready(self) -> Embedder:
        if self._embedder is None:
            raise RuntimeError("nothing is loaded")
        return self._embedder


def serve(load: Callable[[Options], Embedder]) -> None:
    """Answer the lines of stdin until it ends."""
    answers = _take_stdout()
    session = Session(load)
    try:
        for line in sys.stdin:
            answers.write(json.dumps(session.answer(json.loads(line))) + "\n")
            answers.flush()
    finally:
        session.close()


def _take_stdout() -> TextIO:
    """Keep stdout for answers; what a library prints goes to stderr, to the log."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return answers


def unit(vectors: npt.NDArray[Any]) -> Vectors:
    """Scale each row to length 1."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: Vectors = (vectors / np.maximum(lengths, 1e-12)).astype(np.float32)
    return scaled


def pool(hidden: npt.NDArray[Any], mask: npt.NDArray[Any], pooling: str) -> Vectors:
    """Make unit vectors of padded hidden states.

    Args:
        hidden: (B, S, H).
        mask: (B, S), 1 for a token and 0 for padding.
        pooling: `cls` or `mean`.
    """
    if pooling == "cls":
        return unit(hidden[:, 0])
    weights = mask[:, :, None].astype(hidden.dtype)
    return unit((hidden * weights).sum(axis=1) / weights.sum(axis=1))


def in_batches(texts: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """Cut texts into batches, in their order."""
    for start in range(0, len(texts), size):
        yield texts[start : start + size]


def tokenizer_path(options: Options) -> str:
    """Find the model's tokenizer.json."""
    return str(Path(options.folder) / "tokenizer.json")
