"""Each target of `make fuzz`, for seconds: nothing comes of bad input but what is documented."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.fuzz import guided
from support.fuzz.catalog import TARGETS
from support.fuzz.target import Target, try_target

NUM_EXAMPLES = 60
NUM_GUIDED = 500
SEED = 1  # the same inputs each time; `make fuzz` makes others up


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name.replace(" ", "-"))
def test_bad_input_is_refused(target: Target, tmp_path: Path) -> None:
    """With the documented error, whatever it is."""
    with target.open(tmp_path) as check:
        try_target(target, check, num_examples=NUM_EXAMPLES, number=SEED)


@pytest.mark.skipif(not guided.IS_HERE, reason="needs atheris, which has no wheel for this system")
@pytest.mark.parametrize("name", ["bodies", "safetensors"])
def test_what_follows_the_code_is_refused(name: str, tmp_path: Path) -> None:
    """Whatever branch of ours it reaches; `make fuzz` follows the other targets' code as well."""
    found = guided.try_guided(name, tmp_path, seed=SEED, num_inputs=NUM_GUIDED)
    assert found.failure == ""
    assert found.num_inputs >= NUM_GUIDED
    assert found.num_branches > 5  # safetensors' own are in its library
