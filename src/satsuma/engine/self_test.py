"""Does a loaded model give the vectors that others published for it?"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import numpy as np

from satsuma.errors import SelfTestError
from satsuma.store.manifest import PublishedVector
from satsuma.types import FloatArray, Pooling

_LOGGER = logging.getLogger(__name__)

TOLERANCE = 1e-3  # published values come from fp16 and fp32 runs of other engines

EmbedOne = Callable[[str, Pooling], FloatArray]


def run_self_test(model: str, published: Sequence[PublishedVector], embed: EmbedOne) -> None:
    """Embed each published text and compare; of an uncertain vector, a difference is only logged.

    Args:
        model: id, for the message.
        published: vectors to compare with; none means nothing to compare.
        embed: text and pooling -> (H,) float32 of unit length.

    Raises:
        SelfTestError: naming the text, the expected and the actual values.
    """
    for expected in published:
        actual = embed(expected.text, expected.pooling)[: len(expected.first)]
        if np.allclose(actual, expected.first, rtol=0.0, atol=TOLERANCE):
            continue
        difference = _describe(expected, actual)
        if expected.is_certain:
            raise SelfTestError(_REFUSED.format(model=model, difference=difference))
        _LOGGER.warning(_DOUBTED, model, difference)


_REFUSED = (
    "{model} does not give its published vectors, so it is not served. {difference} "
    "Check the weights with `satsuma models verify`; --skip-self-test serves them all the same."
)
_DOUBTED = "%s does not give a vector of uncertain origin, and is served. %s"


def _describe(expected: PublishedVector, actual: FloatArray) -> str:
    return (
        f"Text {expected.text!r} with {expected.pooling} pooling: "
        f"expected {_show(expected.first)} ({expected.source}), got {_show(actual)}."
    )


def _show(values: Sequence[float] | FloatArray) -> str:
    return "[" + ", ".join(f"{value:.6f}" for value in values) + ", ...]"
