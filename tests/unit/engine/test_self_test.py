"""Comparing with published vectors: what refuses a model, and what is only said."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from satsuma.engine.self_test import run_self_test
from satsuma.errors import SelfTestError
from satsuma.store.manifest import PublishedVector
from satsuma.types import FloatArray, Pooling, Precision

RIGHT = PublishedVector("right", Pooling.MEAN, (0.6, 0.8), "a paper")
WRONG = PublishedVector("wrong", Pooling.MEAN, (0.5, 0.25), "a paper")
DOUBTFUL = PublishedVector("wrong", Pooling.CLS, (0.5, 0.25), "a rumour", is_certain=False)


def embed(text: str, pooling: Pooling) -> FloatArray:
    """Answer alike for all texts."""
    del text, pooling
    return np.array([0.6, 0.8, 0.0], dtype=np.float32)


def test_a_certain_difference_refuses_the_model() -> None:
    """Even where another vector is right."""
    with pytest.raises(SelfTestError, match=r"'wrong'.*0\.500000.*\(a paper\).*got \[0\.600000"):
        run_self_test("@cf/acme/tiny", [RIGHT, WRONG], embed)


def test_an_uncertain_difference_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """With the same description; the model is served."""
    run_self_test("@cf/acme/tiny", [DOUBTFUL, RIGHT], embed)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    for part in ("@cf/acme/tiny", "'wrong'", "0.500000", "a rumour", "0.600000"):
        assert part in record.getMessage()


def test_int8_is_held_to_the_direction() -> None:
    """Near the published values is enough for it, and not for fp32; elsewhere is not."""
    near = PublishedVector("near", Pooling.MEAN, (0.62, 0.78), "a paper")
    away = PublishedVector("away", Pooling.MEAN, (0.8, -0.6), "a paper")
    run_self_test("@cf/acme/tiny", [near], embed, Precision.INT8)
    with pytest.raises(SelfTestError, match="'near'"):
        run_self_test("@cf/acme/tiny", [near], embed)
    with pytest.raises(SelfTestError, match="'away'"):
        run_self_test("@cf/acme/tiny", [away], embed, Precision.INT8)
