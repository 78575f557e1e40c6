"""Which devices PyTorch has for the engine, and what it says of those that it lacks.

Runs where PyTorch is: tests/functional/test_torch_units.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

pytest.importorskip("torch", reason="PyTorch is in an environment of its own")

import torch

from satsuma.engine.pytorch import devices
from satsuma.errors import EngineError
from satsuma.types import Precision


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card")
@pytest.mark.parametrize(
    ("name", "message"),
    [("cuda", "--device cpu"), ("cuda:1", "--device cpu"), ("mps", "no GPU of Apple's")],
)
def test_a_device_that_is_not_here_is_named(name: str, message: str) -> None:
    """With what would do."""
    with pytest.raises(EngineError, match=message):
        devices.find_devices(name)


@pytest.fixture
def two_cards(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A machine with two cards that compute, but for those that a test adds to the list."""
    broken: list[str] = []

    def compute_on(card: torch.device) -> None:
        if str(card) in broken:
            raise RuntimeError("no kernel image is available for execution on the device")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(devices, "_compute_on", compute_on)
    devices._try_card.cache_clear()
    yield broken
    devices._try_card.cache_clear()


def test_a_card_without_kernels_is_named(two_cards: list[str]) -> None:
    """The other card does its work; all of them are not to be had."""
    two_cards.append("cuda:0")
    assert [str(one) for one in devices.find_devices("cuda:1")] == ["cuda:1"]
    for find in (devices.has_cards, partial(devices.find_devices, "cuda")):
        with pytest.raises(EngineError, match="cuda:0, and does not compute on it: no kernel"):
            find()


@pytest.mark.parametrize("name", ["cuda", "cpu"])
@pytest.mark.usefixtures("two_cards")
def test_an_older_pytorch_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rather than fail in the middle of a model."""
    monkeypatch.setattr(torch, "__version__", "2.9.1+cu128")
    for find in (devices.has_cards, partial(devices.find_devices, name)):
        with pytest.raises(
            EngineError, match=r"PyTorch 2\.9\.1\+cu128 is too old.* 2\.13 or newer"
        ):
            find()


@pytest.mark.usefixtures("two_cards")
def test_a_card_s_number_is_checked() -> None:
    """The message lists what there is."""
    assert devices.has_cards()
    assert [str(one) for one in devices.find_devices("cuda")] == ["cuda:0", "cuda:1"]
    assert [str(one) for one in devices.find_devices("cuda:1")] == ["cuda:1"]
    with pytest.raises(EngineError, match="no device cuda:2; PyTorch sees cuda:0, cuda:1"):
        devices.find_devices("cuda:2")


def test_an_older_card_has_no_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be emulated, slower than fp32."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (7, 5))
    monkeypatch.setattr(devices, "describe", str)
    card = torch.device("cuda:0")
    devices.check_precision(card, Precision.FP16)
    with pytest.raises(EngineError, match="cuda:0 has no bf16; use --precision fp16"):
        devices.check_precision(card, Precision.BF16)
