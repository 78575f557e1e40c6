"""Each target of `make fuzz`, for seconds: nothing comes of bad input but what is documented."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.fuzz.catalog import TARGETS
from support.fuzz.target import Target, try_target

NUM_EXAMPLES = 100
SEED = 1  # the same inputs each time; `make fuzz` makes others up


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name.replace(" ", "-"))
def test_bad_input_is_refused(target: Target, tmp_path: Path) -> None:
    """With the documented error, whatever it is."""
    with target.open(tmp_path) as check:
        try_target(target, check, num_examples=NUM_EXAMPLES, number=SEED)
