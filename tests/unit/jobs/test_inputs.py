"""A queued request as JSON, and what is kept of it once it is finished."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from support.jobs import result_of

from satsuma.jobs.inputs import keep_shown, read_inputs, read_shown, write_inputs
from satsuma.jobs.records import Claimed, Done, Outcome, Place
from satsuma.jobs.rows import after_attempt
from satsuma.jobs.states import Attempts
from satsuma.types import EmbedRequest, Pooling

MODEL = "@local/a"


@pytest.mark.parametrize(
    "request_",
    [
        EmbedRequest(MODEL, ("a", "b")),
        EmbedRequest(MODEL, ("a",), Pooling.CLS),
        EmbedRequest(MODEL, ("a",), query="q", may_truncate=False, max_padded_tokens=60_000),
        EmbedRequest(MODEL, ("a",), dimensions=9, prompt_name=""),
    ],
)
def test_a_request_reads_back_as_background_work(request_: EmbedRequest) -> None:
    """With everything that its answer depends on."""
    read = read_inputs(MODEL, write_inputs(request_, {"top_k": 1}))
    assert read == replace(request_, is_background=True)


def test_what_is_usual_is_not_written() -> None:
    """A text encoder's inputs are as earlier versions wrote them."""
    written = write_inputs(EmbedRequest(MODEL, ("a",), Pooling.CLS), {})
    assert json.loads(written) == {"text": ["a"], "pooling": "cls"}


@pytest.mark.parametrize(("shown", "kept"), [({}, None), ({"top_k": 1}, b'{"shown":{"top_k":1}}')])
def test_a_finished_requests_texts_go(shown: dict[str, int], kept: bytes | None) -> None:
    """What its answer's writer has to know stays."""
    inputs = write_inputs(EmbedRequest(MODEL, ("a secret",), query="another"), shown)
    assert keep_shown(inputs) == kept
    assert read_shown(kept) == shown
    claimed = Claimed(Place("x", 0), "me", MODEL, inputs, 1, Attempts(0, 0, 0), is_alone=False)
    row = after_attempt(Outcome(claimed, Done(result_of(["a secret"]))), 0.0)
    assert row["inputs"] == kept
