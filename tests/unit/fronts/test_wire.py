"""Requests and results as they cross from one process to another."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from satsuma.fronts.wire import pack_request, pack_result, unpack_request, unpack_result
from satsuma.types import (
    EmbedRequest,
    EmbedResult,
    Pooling,
    Precision,
    SparseVector,
    Timings,
    TokenOutput,
    Usage,
)

REQUESTS = [
    EmbedRequest("@cf/baai/bge-base-en-v1.5", ("one", "two")),
    EmbedRequest("m", ((1, 2, 3), "two"), Pooling.CLS, 256, is_normalized=False, query="q"),
    EmbedRequest("m", ("a",), prompt_name="", may_truncate=False, max_padded_tokens=9),
    EmbedRequest("m", ("a",), outputs=(TokenOutput.SPARSE, TokenOutput.MULTI_VECTORS)),
]


@pytest.mark.parametrize("request_", REQUESTS)
def test_a_request_arrives_as_it_was(request_: EmbedRequest) -> None:
    """Every member, and of the type that it had."""
    arrived = unpack_request(pickle.loads(pickle.dumps(pack_request(request_))))  # noqa: S301
    assert arrived == request_
    assert type(arrived.pooling) is type(request_.pooling)
    assert list(map(type, arrived.outputs)) == list(map(type, request_.outputs))


def test_a_result_arrives_as_it_was() -> None:
    """Vectors bit for bit, also of a view that is not contiguous."""
    sparse = SparseVector(np.array([3, 5]), np.array([0.5, 0.25], dtype=np.float32))
    vectors = np.arange(12, dtype=np.float32).reshape(3, 4)[:, ::2]
    multi = (np.ones((2, 3), dtype=np.float32),)
    usage, timings = Usage(7, 1), Timings(0.1, 0.2, 0.3)
    sent = EmbedResult(
        vectors, Pooling.LAST_TOKEN, usage, timings, 2, Precision.INT8, (sparse,), multi
    )
    arrived = unpack_result(pickle.loads(pickle.dumps(pack_result(sent))))  # noqa: S301
    np.testing.assert_array_equal(arrived.vectors, vectors)
    assert arrived.vectors.dtype == np.float32
    assert (arrived.pooling, arrived.precision) == (Pooling.LAST_TOKEN, Precision.INT8)
    assert (arrived.usage, arrived.timings, arrived.num_truncated) == (usage, timings, 2)
    np.testing.assert_array_equal(arrived.sparse[0].values, sparse.values)
    np.testing.assert_array_equal(arrived.multi_vectors[0], multi[0])
