"""What a job's output depends on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from satsuma.bulk.formats import InputFormat, OutputFormat
from satsuma.bulk.options import JobOptions
from satsuma.bulk.plan import differences, find_model
from satsuma.engine import choice
from satsuma.settings import load_settings

OPTIONS = JobOptions(
    model="@hf/sentence-transformers/all-minilm-l6-v2",
    input_format=InputFormat.JSONL,
    output_format=OutputFormat.JSONL,
)


@pytest.mark.usefixtures("all_minilm_files")
def test_a_job_does_not_go_on_on_another_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `auto` came to is what counts: a card's vectors are not the CPU's to the bit."""
    monkeypatch.setattr(choice, "has_cards", lambda: False)
    settings = load_settings({"models_dir": tmp_path}, environ={})
    model = find_model(OPTIONS, settings)
    assert "auto" not in model.engine
    there = replace(model, engine="PyTorch 2.13.0 on cuda:0")
    (told,) = differences(model.to_json(), there.to_json())
    assert told == f"engine was {model.engine} and is PyTorch 2.13.0 on cuda:0"
