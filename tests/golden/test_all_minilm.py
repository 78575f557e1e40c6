"""The real all-MiniLM-L6-v2 against vectors that other libraries computed (`make golden`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.engines import ENGINES, TORCH

from satsuma.engine.load import LoadedModel, load_model
from satsuma.engine.pooling import pool
from satsuma.engine.protocol import Microbatch, Width
from satsuma.settings import load_settings
from satsuma.store.manifest import ModelFiles
from satsuma.types import Engine, FloatArray, Pooling, Precision

RECORDED = json.loads(Path(__file__).with_name("all_minilm_l6_v2.json").read_text())
ITEMS: list[dict[str, Any]] = RECORDED["items"]
TEXTS = [item["text"] for item in ITEMS]
REFERENCE_TOLERANCE = 1e-5  # between float32 implementations
NEIGHBOUR_TOLERANCE = 1e-6  # between runs of ours
LEAST_COSINES = {Precision.FP16: 0.9999, Precision.BF16: 0.999}  # to the reference


@pytest.fixture(scope="module", params=ENGINES)
def all_minilm(request: pytest.FixtureRequest, all_minilm_files: ModelFiles) -> LoadedModel:
    """The model, in each engine."""
    settings = load_settings({"engine": request.param, "device": "cpu"}, environ={})
    return load_model(all_minilm_files, settings)


@pytest.fixture(scope="module")
def alone(all_minilm: LoadedModel) -> dict[int, FloatArray]:
    """Vectors of texts by themselves, by number, as far as they were needed."""
    del all_minilm  # one such for each engine
    return {}


def embed(model: LoadedModel, texts: list[str], pooling: Pooling, width: Width) -> FloatArray:
    """All texts in one microbatch."""
    microbatch = Microbatch.pack([tokens.ids for tokens in model.tokenizer.tokenize(texts)])
    states = model.encoder.encode(microbatch, width)
    return pool(states, microbatch.lengths, [pooling] * len(texts))


@pytest.mark.parametrize("pooling", [Pooling.MEAN, Pooling.CLS])
@pytest.mark.parametrize("width", list(Width))
def test_vectors_equal_the_reference(
    all_minilm: LoadedModel, pooling: Pooling, width: Width
) -> None:
    """Every recorded text, all in one microbatch."""
    expected = [item[pooling.value] for item in ITEMS]
    actual = embed(all_minilm, TEXTS, pooling, width)
    np.testing.assert_allclose(actual, expected, atol=REFERENCE_TOLERANCE)


def test_tokens_are_counted_as_the_reference_counts(all_minilm: LoadedModel) -> None:
    """Number of tokens and truncation, text by text."""
    tokens = all_minilm.tokenizer.tokenize(TEXTS)
    assert [(len(one), one.is_truncated) for one in tokens] == [
        (item["num_tokens"], item["is_truncated"]) for item in ITEMS
    ]


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    chosen=st.lists(st.sampled_from(range(len(TEXTS))), min_size=1, max_size=12),
    width=st.sampled_from(list(Width)),
)
def test_alone_equals_in_any_mix(
    all_minilm: LoadedModel, alone: dict[int, FloatArray], chosen: list[int], width: Width
) -> None:
    """A text's vector does not depend on its neighbours, their number or their order."""
    mixed = embed(all_minilm, [TEXTS[i] for i in chosen], Pooling.MEAN, width)
    for i in set(chosen) - alone.keys():
        alone[i] = all_minilm.embed_one(TEXTS[i], Pooling.MEAN)
    np.testing.assert_allclose(mixed, [alone[i] for i in chosen], atol=NEIGHBOUR_TOLERANCE)


@pytest.mark.parametrize("engine", [TORCH])
@pytest.mark.parametrize("precision", [*LEAST_COSINES])
def test_half_precisions_point_the_same_way(
    engine: Engine, precision: Precision, all_minilm_files: ModelFiles
) -> None:
    """Every recorded text's vector."""
    flags = {"engine": engine, "device": "cpu", "precision": precision}
    model = load_model(all_minilm_files, load_settings(flags, environ={}))
    vectors = embed(model, TEXTS, Pooling.MEAN, Width.ONE_LANE)
    expected = np.array([item["mean"] for item in ITEMS])
    assert (vectors * expected).sum(axis=1).min() > LEAST_COSINES[precision]
