"""Does a loaded model give the vectors that others published for it?"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import numpy as np

from satsuma.errors import SelfTestError
from satsuma.store.manifest import PublishedVector
from satsuma.types import DoubleArray, FloatArray, Pooling, Precision

_LOGGER = logging.getLogger(__name__)

TOLERANCE = 1e-3  # published values come from fp16 and fp32 runs of other engines
LEAST_COSINE = 0.95  # of the published values; int8 stays above 0.98, other weights near 0

EmbedOne = Callable[[str, Pooling], FloatArray]


def run_self_test(
    model: str,
    published: Sequence[PublishedVector],
    embed: EmbedOne,
    precision: Precision = Precision.FP32,
) -> None:
    """Embed each published text and compare; of an uncertain vector, a difference is only logged.

    Args:
        model: id, for the message.
        published: vectors to compare with; none means nothing to compare.
        embed: text and pooling -> (H,) float32 of unit length.
        precision: fp32 is held to the published values, any other to their direction.

    Raises:
        SelfTestError: naming the text, the expected and the actual values.
    """
    for expected in published:
        actual = embed(expected.prompt + expected.text, expected.pooling)[: len(expected.first)]
        if _agrees(actual, np.array(expected.first), precision):
            continue
        difference = _describe(expected, actual)
        if expected.is_certain:
            raise SelfTestError(_REFUSED.format(model=model, difference=difference))
        _LOGGER.warning(_DOUBTED, model, difference)


def _agrees(actual: FloatArray, expected: DoubleArray, precision: Precision) -> bool:
    if precision is Precision.FP32:
        return np.allclose(actual, expected, rtol=0.0, atol=TOLERANCE)
    lengths = np.linalg.norm(actual) * np.linalg.norm(expected)
    return bool(actual @ expected >= LEAST_COSINE * lengths)


_REFUSED = (
    "{model} does not give its published vectors, so it is not served. {difference} "
    "Check the weights with `satsuma models verify`; --skip-self-test serves them all the same."
)
_DOUBTED = "%s does not give a vector of uncertain origin, and is served. %s"


def _describe(expected: PublishedVector, actual: FloatArray) -> str:
    return (
        f"Text {expected.prompt + expected.text!r} with {expected.pooling} pooling: "
        f"expected {_show(expected.first)} ({expected.source}), got {_show(actual)}."
    )


def _show(values: Sequence[float] | FloatArray) -> str:
    return "[" + ", ".join(f"{value:.6f}" for value in values) + ", ...]"
