"""Which devices PyTorch has for the engine, and what it says of those that it lacks.

Runs where PyTorch is: tests/functional/test_torch_units.py.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

pytest.importorskip("torch", reason="PyTorch is in an environment of its own")

import torch

from satsuma.engine.protocol import Width
from satsuma.engine.pytorch import devices, places
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
    monkeypatch.setattr(devices, "compute_on", compute_on)
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


def test_products_are_exact_whatever_was_set_before() -> None:
    """Containers and other programs in the process choose speed; nothing here warns of age."""
    products = torch.backends.cuda.matmul
    names = [f"allow_{kind}16_reduced_precision_reduction" for kind in ("fp", "bf")]
    for name in ("allow_tf32", *names):
        setattr(products, name, True)
    devices.demand_exact_products()
    assert [getattr(products, name) for name in ("allow_tf32", *names)] == [False, False, False]
    assert torch.get_float32_matmul_precision() == "highest"


@pytest.mark.parametrize(("value", "is_told"), [("1", True), ("0", False)])
def test_what_overrides_it_is_told(
    value: str,
    is_told: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """NVIDIA's libraries heed a variable of their own; 0 is what is wanted anyway."""
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", value)
    devices._warn_of_override.cache_clear()
    for _ in range(2):
        devices.demand_exact_products()
    assert len([line for line in caplog.messages if "NVIDIA_TF32_OVERRIDE=1" in line]) == is_told


def test_apple_s_gpu_has_one_thread_at_a_time() -> None:
    """PyTorch ends the process otherwise; a query waits for what runs, and so does a load."""
    lent, finished = places.Places([torch.device("mps")]), threading.Event()

    def run() -> None:
        with lent.lend(Width.ONE_CORE):
            finished.set()

    with ThreadPoolExecutor(1) as lane:
        with lent.lend(Width.ONE_LANE):
            waiting = lane.submit(run)
            assert not finished.wait(0.1)
        waiting.result(30)
        with lent.take_turn():
            finished.clear()
            waiting = lane.submit(run)
            assert not finished.wait(0.1)
        waiting.result(30)


def test_other_devices_have_several() -> None:
    """Cards run one thing while the next is sent."""
    lent = places.Places([torch.device("cpu")])
    with lent.lend(Width.ONE_LANE), lent.lend(Width.ONE_CORE) as seat:
        assert seat.number == 0


@pytest.mark.parametrize(("device", "module"), [("cuda:0", "cuda"), ("mps", "mps"), ("cpu", "")])
def test_each_device_s_own_memory_is_given_back(
    device: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the call that each has."""
    freed: list[str] = []
    monkeypatch.setattr(torch.cuda, "device", lambda _: threading.Lock())
    for name in ("cuda", "mps"):
        monkeypatch.setattr(getattr(torch, name), "empty_cache", partial(freed.append, name))
    monkeypatch.setattr(torch.accelerator, "empty_host_cache", partial(freed.append, "host"))
    places.Places([torch.device(device)]).free_memory()
    assert freed == {"cuda": ["cuda", "host"], "mps": ["mps"], "": []}[module]
