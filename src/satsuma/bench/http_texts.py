"""What a load generator sends: texts of the lengths that real traffic has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from satsuma.bench.http_client import Target
from satsuma.bench.workload import Workload

_NUM_BODIES = 512  # made before the clock starts, then sent in turn
_SHORTEST, _LONGEST = 4, 510
_TAIL_MEDIAN, _TAIL_SPREAD = 30.0, 1.1

_Lengths = Callable[[np.random.Generator, int], "np.ndarray[tuple[int], np.dtype[np.float64]]"]

MIXES: dict[str, _Lengths] = {
    "query": lambda draws, size: draws.uniform(6, 15, size),
    "mixed": lambda draws, size: draws.uniform(8, 256, size),
    "tail": lambda draws, size: draws.lognormal(np.log(_TAIL_MEDIAN), _TAIL_SPREAD, size),
}


@dataclass(frozen=True, slots=True)
class Texts:
    """What each request carries.

    Attributes:
        mix: one of `MIXES`.
        num_texts: texts of a request.
        num_tokens: of every text; 0 leaves it to the mix.
        file: a text a line, instead of made ones.
    """

    mix: str = "query"
    num_texts: int = 1
    num_tokens: int = 0
    file: Path | None = None

    def bodies(self, target: Target) -> list[bytes]:
        """Write the requests' bodies.

        Raises:
            click.UsageError: if the file has no text.
        """
        texts = self._read() if self.file else self._make()
        starts = range(0, len(texts), self.num_texts)
        return [target.body(texts[start : start + self.num_texts]) for start in starts]

    def _make(self) -> list[str]:
        draws = np.random.default_rng(0)
        size = _NUM_BODIES * self.num_texts
        lengths = MIXES[self.mix](draws, size).clip(_SHORTEST, _LONGEST).astype(int).tolist()
        if self.num_tokens:
            lengths = [self.num_tokens] * size
        return Workload(self.mix, tuple(lengths)).texts()

    def _read(self) -> list[str]:
        assert self.file is not None  # noqa: S101 - the only caller looked
        lines = self.file.read_text(encoding="utf-8").splitlines()
        texts = [line for line in lines if line.strip()]
        if not texts:
            raise click.UsageError(f"{self.file} has no text.")
        return texts
