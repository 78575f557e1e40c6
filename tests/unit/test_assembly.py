"""How a service is put together for cards; here the native engine stands for one."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from support.families import write_family

from satsuma import Ai, assembly
from satsuma.engine import budget
from satsuma.engine.load import LanePlan
from satsuma.engine.protocol import Encoder
from satsuma.scheduler.pace import Pace
from satsuma.scheduler.scheduler import Scheduler
from satsuma.store.manifest import ModelFiles

CARD = LanePlan(num_lanes=2, token_budget=4096, is_on_cards=True, is_measured=True)


@pytest.fixture
def models_dir(tmp_path: Path, all_minilm_files: ModelFiles) -> Path:
    """A folder with one small model."""
    tokenizer_json = all_minilm_files.folder / "tokenizer.json"
    write_family(tmp_path / "models" / "small", "xlm_roberta", tokenizer_json)
    return tmp_path / "models"


def test_a_model_is_measured_when_it_comes_to_a_card(
    models_dir: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """And gets microbatches of its own size from then on."""
    caplog.set_level(logging.INFO)
    paces: list[Pace] = []
    note_pace = Scheduler.note_pace

    def note(self: Scheduler, encoder: Encoder, pace: Pace) -> None:
        paces.append(pace)
        note_pace(self, encoder, pace)

    monkeypatch.setattr(assembly, "plan_lanes", lambda _: CARD)
    monkeypatch.setattr(budget, "SIZES", (250, 500))
    monkeypatch.setattr(Scheduler, "note_pace", note)
    with Ai(models_dir=models_dir, threads=2, device="cpu") as ai:
        answer = ai.run("@local/small", {"text": ["a text", "another"] * 200})
    assert answer["shape"] == [400, 36]
    (pace,) = paces
    assert pace.budget in {200, 500}  # whole texts of 100 tokens
    assert not pace.runs_wide
    assert f"microbatches of {pace.budget} tokens" in caplog.text
