"""How much is measured."""

from __future__ import annotations

from dataclasses import dataclass

from satsuma.bench.random_model import SHAPES, ModelShape

_QUICK = ModelShape("quick", 64, 2, 4, 256, vocab_size=2000)


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured.

    Attributes:
        shapes: of the models.
        num_tokens: of a workload.
        rounds: of each; the median counts.
        num_queries: lone short texts.
        width: of the ceilings' matrices.
        copied_bytes: of the ceilings' copy.
        warm_up_s: before each ceiling: an idle card's clock is slow.
    """

    shapes: tuple[ModelShape, ...] = (SHAPES["bge-base"], SHAPES["bge-large"])
    num_tokens: int = 1_000_000
    rounds: int = 3
    num_queries: int = 200
    width: int = 8192
    copied_bytes: int = 2**30
    warm_up_s: float = 2.0


QUICK = Plan(
    (_QUICK,),
    num_tokens=2000,
    rounds=1,
    num_queries=5,
    width=256,
    copied_bytes=2**20,
    warm_up_s=0.0,
)
