"""Which engine and which device the settings, the precision and the machine come to."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable

import pytest

from satsuma.engine import backends, choice
from satsuma.engine.backends import find_trouble, plan_lanes
from satsuma.engine.choice import Choice, choose
from satsuma.errors import EngineError
from satsuma.settings import Settings, load_settings
from satsuma.types import Engine


def settings(**flags: object) -> Settings:
    """Settings of these flags alone."""
    return load_settings({"threads": 2, **flags}, environ={})


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """A machine that has cards that PyTorch can use, or none."""
    return lambda has_cards: monkeypatch.setattr(choice, "has_cards", lambda: has_cards)


@pytest.mark.parametrize(
    ("has_cards", "flags", "expected"),
    [
        (False, {}, (Engine.NATIVE, "cpu")),
        (True, {}, (Engine.TORCH, "cuda")),
        (True, {"device": "cpu"}, (Engine.NATIVE, "cpu")),
        (True, {"engine": "native"}, (Engine.NATIVE, "cpu")),
        (True, {"engine": "onnx"}, (Engine.ONNX, "cpu")),
        (True, {"precision": "int8"}, (Engine.NATIVE, "cpu")),
        (True, {"device": "cuda:1"}, (Engine.TORCH, "cuda:1")),
        (True, {"engine": "torch"}, (Engine.TORCH, "cuda")),
        (True, {"engine": "torch", "device": "cpu"}, (Engine.TORCH, "cpu")),
        (False, {"engine": "torch"}, (Engine.TORCH, "cpu")),
        (False, {"device": "mps"}, (Engine.TORCH, "mps")),
    ],
)
def test_auto_takes_a_card_or_the_cpu_s_own_engine(
    machine: Callable[[bool], None],
    has_cards: bool,
    flags: dict[str, str],
    expected: tuple[Engine, str],
) -> None:
    """What is asked for is taken; what is not comes from what is here."""
    machine(has_cards)
    assert choose(settings(**flags)) == Choice(*expected)


@pytest.mark.parametrize("engine", ["native", "onnx"])
def test_an_engine_of_the_cpu_takes_no_card(engine: str) -> None:
    """Rather than leave the card idle without a word."""
    with pytest.raises(EngineError, match=f"Engine {engine} runs on the CPU alone"):
        choose(settings(engine=engine, device="cuda"))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"precision": "fp16"}, "--device cuda.*--engine torch"),
        ({"precision": "bf16", "device": "cpu"}, "--device cuda.*--engine torch"),
        ({"precision": "int8", "engine": "onnx"}, "int8 needs the native engine"),
    ],
)
def test_a_precision_that_is_not_here_is_explained(
    machine: Callable[[bool], None], flags: dict[str, str], message: str
) -> None:
    """With what has it."""
    machine(False)
    trouble = find_trouble(settings(**flags))
    assert trouble
    with pytest.raises(EngineError, match=message):
        backends.check_precision(settings(**flags), choose(settings(**flags)))


@pytest.mark.parametrize(
    ("files", "shown"), [("nothing-like-it", None), ("null", ""), ("null", "-1")]
)
def test_without_a_card_in_sight_nothing_of_pytorch_is_loaded(
    files: str, shown: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look at /dev and at the environment is enough."""

    def refuse(_name: str) -> None:
        raise AssertionError

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if shown is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", shown)
    monkeypatch.setattr(choice, "_CARD_FILES", (files,))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())
    monkeypatch.setattr(choice, "import_torch_engine", refuse)
    choice.has_cards.cache_clear()
    assert not choice.has_cards()
    choice.has_cards.cache_clear()


def test_a_missing_pytorch_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the extra that brings it."""

    def miss(name: str) -> None:
        raise ModuleNotFoundError(name, name="torch")

    monkeypatch.setattr(importlib, "import_module", miss)
    with pytest.raises(EngineError, match=r"satsuma\[gpu\]"):
        choice.import_torch_engine("devices")


@pytest.mark.parametrize(
    "error",
    [
        OSError("libcudart.so: cannot open shared object file"),
        ImportError("libcudart.so: undefined symbol", name="torch"),
        ModuleNotFoundError("No module named 'libcudart.so'", name="sympy"),
        EngineError("PyTorch sees cuda:0, and has no libcudart.so."),
    ],
)
def test_a_broken_pytorch_is_explained(
    error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where nobody asked for it, the CPU takes its place."""

    def fail(_name: str) -> None:
        raise error

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(choice, "_CARD_FILES", ("null",))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())
    monkeypatch.setattr(importlib, "import_module", fail)
    choice.has_cards.cache_clear()
    assert not choice.has_cards()
    choice.has_cards.cache_clear()
    assert "libcudart.so" in caplog.text
    assert "not installed" not in caplog.text
    assert "The CPU takes the card's place" in caplog.text


class _TwoCards:
    """What `engine.pytorch.devices` says on a machine with two cards."""

    @staticmethod
    def find_devices(name: str) -> tuple[str, ...]:
        return ("cuda:0", "cuda:1") if name == "cuda" else (name,)

    @staticmethod
    def memory_bytes(device: str) -> int:
        return {"cuda:0": 80, "cuda:1": 40}[device]


@pytest.fixture
def two_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with two cards."""
    monkeypatch.setattr(backends, "import_torch_engine", lambda _: _TwoCards)


@pytest.mark.usefixtures("two_cards")
def test_a_card_has_two_lanes_and_large_microbatches() -> None:
    """While one runs, the next is prepared; each model is measured unless somebody set a budget."""
    both, one = (plan_lanes(settings(device=device)) for device in ("cuda", "cuda:1"))
    assert (both.num_lanes, one.num_lanes) == (4, 2)
    assert both.token_budget > 512
    assert both.is_on_cards
    assert both.is_measured
    fixed = plan_lanes(settings(device="cuda", token_budget=4096, lanes=3))
    assert (fixed.num_lanes, fixed.token_budget, fixed.is_measured) == (3, 4096, False)


@pytest.mark.usefixtures("two_cards")
def test_models_have_half_of_the_smallest_card() -> None:
    """Each card holds every model."""
    assert backends.models_memory_bytes(settings(device="cuda")) == 20
    assert backends.models_memory_bytes(settings(device="cuda", memory_budget_bytes=7)) == 7


def test_pytorch_on_the_cpu_has_one_lane() -> None:
    """It shares a run among the cores by itself."""
    plan = plan_lanes(settings(engine="torch", device="cpu"))
    assert (plan.num_lanes, plan.token_budget, plan.is_on_cards) == (1, 512, False)
