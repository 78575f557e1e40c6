"""Errors that cross from one process to another."""

from __future__ import annotations

import pickle

import pytest

from satsuma.errors import InvalidInputError, ModelNotFoundError, OverloadedError, SatsumaError
from satsuma.outcomes import Refusal

ERRORS = [
    ModelNotFoundError("There is no model x."),
    OverloadedError("The waiting room is full.", retry_after_s=2.5),
    InvalidInputError("`dimensions` is odd", param="dimensions"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_arrives_as_it_was(error: SatsumaError) -> None:
    """Its class, its words, and what its constructor takes by name."""
    refusal: Refusal = pickle.loads(pickle.dumps(Refusal.of(error)))  # noqa: S301 - our own
    arrived = refusal.to_error()
    assert type(arrived) is type(error)
    assert str(arrived) == str(error)
    assert vars(arrived) == vars(error)
