"""Attention on PyTorch: every way to compute it, compared with one item after another.

The kernels that only cards have are called here as they are there, and stand-ins on the CPU
compute what they would. Runs where PyTorch is: tests/functional/test_torch_units.py.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from inspect import signature
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("torch", reason="PyTorch is in an environment of its own")

import torch
from support.families import random_items
from torch.nn.attention import varlen
from torch.nn.functional import scaled_dot_product_attention

from satsuma.engine.architectures.steps import Attend
from satsuma.engine.protocol import Microbatch
from satsuma.engine.pytorch import attention
from satsuma.engine.pytorch.inputs import Inputs, send

LENGTHS = (1, 2, 9, 40, 120)
CPU = torch.device("cpu")


def packed_inputs() -> Inputs:
    """Items of mixed lengths, on the CPU."""
    return send(Microbatch.pack(random_items(LENGTHS)), CPU)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")  # its way on the CPU
@pytest.mark.parametrize("num_kv_heads", [1, 2, 4])
def test_jagged_attention_equals_that_by_item(num_kv_heads: int) -> None:
    """Cards use it in fp32; here it is the same arithmetic, where all see all."""
    step = Attend(4, num_kv_heads, 16, "qkv", "attended")
    inputs = packed_inputs()
    rows = torch.randn(sum(LENGTHS), (4 + 2 * num_kv_heads) * 16)
    with torch.inference_mode():
        jagged = attention.attend_jagged(step, rows, inputs)
        by_item = attention.attend_by_item(step, rows, inputs)
    torch.testing.assert_close(jagged, by_item, rtol=0, atol=1e-5)


def efficient_attention(
    calls: list[dict[str, Any]],
) -> Callable[..., tuple[torch.Tensor, ...]]:
    """Memory-efficient attention's arithmetic on the CPU, its arguments bound to its schema."""
    real = torch.ops.aten._efficient_attention_forward.default
    names = [one.name for one in real._schema.arguments]

    def run(*given: object, **options: object) -> tuple[torch.Tensor, ...]:
        real(*map(_to_meta, given), **options)  # refuses what the schema does not have
        calls.append(bound := {**dict(zip(names, given, strict=False)), **options})
        query, key, value, starts, is_causal, scale = (
            bound[name]
            for name in ("query", "key", "value", "cu_seqlens_q", "custom_mask_type", "scale")
        )
        output = torch.empty_like(query)
        for start, end in itertools.pairwise(starts.tolist()):
            parts = (one[:, start:end].transpose(1, 2) for one in (query, key, value))
            attended = scaled_dot_product_attention(*parts, is_causal=bool(is_causal), scale=scale)
            output[:, start:end] = attended.transpose(1, 2)
        return (output,)

    return run


def _to_meta(value: object) -> object:
    return value.to("meta") if isinstance(value, torch.Tensor) else value


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("num_kv_heads", [1, 4])
def test_packed_attention_equals_that_by_item(
    num_kv_heads: int, is_causal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cards use it in fp32; the kernel is the CPU's here, the call is what a card gets."""
    step = Attend(4, num_kv_heads, 16, "qkv", "attended", is_causal)
    inputs = packed_inputs()
    calls: list[dict[str, Any]] = []
    rows = torch.randn(sum(LENGTHS), (4 + 2 * num_kv_heads) * 16)
    by_item = attention.attend_by_item(step, rows, inputs)
    run = efficient_attention(calls)
    monkeypatch.setattr(torch.ops.aten._efficient_attention_forward, "default", run)
    packed = attention.attend_packed(step, rows, inputs)
    torch.testing.assert_close(packed, by_item, rtol=0, atol=1e-5)
    assert calls[0]["cu_seqlens_q"].dtype is torch.int32
    assert (calls[0]["max_seqlen_q"], calls[0]["max_seqlen_k"]) == (120, 120)
    assert not calls[0]["compute_log_sumexp"]


def test_this_release_takes_the_packed_call() -> None:
    """Where it does not any more, cards fall back to slower attention, and this test says so."""
    assert attention.knows_packed_call()


@pytest.mark.parametrize(
    "schema",
    [
        None,
        "aten::_efficient_attention_forward(Tensor query, Tensor key) -> Tensor",
        f"{attention._PACKED_CALL}, Tensor alibi) -> (Tensor output)",
    ],
)
def test_a_release_with_another_call_falls_back(
    schema: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To nested tensors, which are public; without a kernel at all to one item after another."""
    known = torch._C.parse_schema(schema) if schema else None
    default = SimpleNamespace(_schema=known) if known else None
    monkeypatch.setattr(
        torch.ops.aten, "_efficient_attention_forward", SimpleNamespace(default=default)
    )
    assert not attention.knows_packed_call()
    attention._has_packed.cache_clear()
    card, step = torch.device("cuda:0"), Attend(4, 4, 16, "qkv", "attended")
    choices = [
        attention.choose_kernel(one, torch.float32, card)
        for one in (
            step,
            replace(step, head_width=20),
            replace(step, head_width=20, is_causal=True),
        )
    ]
    jagged, by_item = attention.attend_jagged, attention.attend_by_item
    assert choices == [jagged, jagged, by_item]


@pytest.mark.parametrize("can_use", [True, False])
def test_packed_attention_is_taken_where_its_kernel_is(
    can_use: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PyTorch is asked: a build may lack it, and so may a card."""
    asked: list[torch.Tensor] = []

    def can_use_efficient_attention(given: torch.backends.cuda.SDPAParams) -> bool:
        asked.append(given.query)
        return can_use

    cuda = torch.backends.cuda
    monkeypatch.setattr(cuda, "can_use_efficient_attention", can_use_efficient_attention)
    step, kernels = (
        Attend(4, 4, 64, "qkv", "attended"),
        (attention.attend_jagged, attention.attend_packed),
    )
    attention._has_packed.cache_clear()
    assert attention.choose_kernel(step, torch.float16, CPU) is kernels[can_use]
    assert (asked[0].dtype, asked[0].shape[-1]) == (torch.float16, 64)
    attention._has_packed.cache_clear()


@pytest.mark.parametrize("window", [1, 3, 10, 119, 120])
def test_only_items_longer_than_the_window_go_one_by_one(window: int) -> None:
    """The others go as they would without a window, in one call for them all."""
    step = Attend(4, 2, 16, "qkv", "attended", window=window)
    inputs, rows = packed_inputs(), torch.randn(sum(LENGTHS), 8 * 16)
    seen: list[tuple[int, ...]] = []

    def attend_all(step: Attend, rows: torch.Tensor, inputs: Inputs) -> torch.Tensor:
        seen.append(inputs.lengths)
        assert (inputs.longest, inputs.starts[-1]) == (max(inputs.lengths), len(rows))
        assert inputs.starts.dtype is torch.int32
        return attention.attend_by_item(replace(step, window=0), rows, inputs)

    around = attention.attend_around_window(step, rows, inputs, attend_all)
    expected = attention.attend_by_item(step, rows, inputs)
    torch.testing.assert_close(around, expected, rtol=0, atol=1e-5)
    assert seen == [tuple(length for length in LENGTHS if length <= window)]


def test_a_window_that_spans_no_item_leaves_none_over() -> None:
    """Every item is longer than it."""
    step, lengths = Attend(1, 1, 8, "qkv", "attended", window=3), (7, 5)
    inputs = send(Microbatch.pack(random_items(lengths)), CPU)
    rows = torch.randn(sum(lengths), 24)

    def attend_all(*_: object) -> torch.Tensor:
        raise AssertionError

    around = attention.attend_around_window(step, rows, inputs, attend_all)
    torch.testing.assert_close(around, attention.attend_by_item(step, rows, inputs))


@pytest.mark.parametrize("is_causal", [False, True])
def test_a_window_hides_what_is_beyond(is_causal: bool) -> None:
    """A token sees those nearer than the window, and behind it if it looks both ways."""
    step = Attend(1, 1, 8, "qkv", "attended", is_causal, window=3)
    rows = torch.randn(sum(LENGTHS), 24)
    attended = attention.attend_by_item(step, rows, packed_inputs())
    start, place = sum(LENGTHS[:-1]), 50  # in the last item
    seen = range(place - 2, place + 1 if is_causal else place + 3)
    query, key, value = rows[start:].split(8, dim=1)
    shares = torch.softmax(query[place] @ key[list(seen)].T, dim=-1)
    torch.testing.assert_close(attended[start + place], shares @ value[list(seen)])


def test_flash_attention_is_taken_where_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """From Ampere on, for heads of usual widths."""
    capabilities = {"cuda:0": (8, 0), "cuda:1": (7, 5)}
    has_flash = True
    monkeypatch.setattr(torch.backends.cuda, "is_flash_attention_available", lambda: has_flash)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda one: capabilities[str(one)])
    attention._has_varlen.cache_clear()
    one, other = torch.device("cuda:0"), torch.device("cuda:1")
    assert attention._has_varlen(one, 64)
    assert not attention._has_varlen(one, 20)
    assert not attention._has_varlen(one, 512)
    assert not attention._has_varlen(other, 64)
    attention._has_varlen.cache_clear()
    has_flash = False  # some builds leave it out
    assert not attention._has_varlen(one, 64)
    attention._has_varlen.cache_clear()


def test_flash_attention_is_called_as_this_release_takes_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its arguments are bound to its own signature; what it computes needs a card."""
    real = signature(varlen.varlen_attn)
    seen: list[dict[str, object]] = []

    def varlen_attn(*arguments: torch.Tensor, **options: object) -> torch.Tensor:
        seen.append(real.bind(*arguments, **options).arguments)
        return arguments[0]

    varlen_attn.__signature__ = real  # type: ignore[attr-defined]
    monkeypatch.setattr(varlen, "varlen_attn", varlen_attn)
    step = Attend(4, 2, 16, "qkv", "attended", is_causal=True, window=5)
    rows = torch.randn(sum(LENGTHS), 8 * 16)
    for one in (step, replace(step, is_causal=False, window=0)):
        assert attention.attend_varlen(one, rows, packed_inputs()).shape == (len(rows), 64)
    assert [one["window_size"] for one in seen] == [(4, 0), (-1, -1)]
    assert all(one["enable_gqa"] and one["scale"] == 1.0 for one in seen)
    assert all((one["max_q"], one["max_k"]) == (120, 120) for one in seen)
