"""Attention within each item of a packed microbatch, by whichever kernel the device has.

T tokens, L of one item, D width of a head. The queries come divided by what the scores are divided
by, and nothing is padded anywhere.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable
from functools import cache
from typing import Any, TypeAlias

import torch
from torch.nn.functional import scaled_dot_product_attention

from satsuma.engine.architectures.steps import Attend
from satsuma.engine.pytorch.inputs import Inputs

_HALVES = (torch.float16, torch.bfloat16)
_WIDEST_HEAD = 256  # of flash attention
_WIDTH_UNIT = 8
# How memory-efficient attention is called here: the op is PyTorch's own, and may change.
_PACKED_CALL = (
    "aten::_efficient_attention_forward(Tensor query, Tensor key, Tensor value, Tensor? bias, "
    "Tensor? cu_seqlens_q, Tensor? cu_seqlens_k, SymInt? max_seqlen_q, SymInt? max_seqlen_k, "
    "float dropout_p, int custom_mask_type, bool compute_log_sumexp=False, *, float? scale=None"
)
_NUM_PACKED_ARGUMENTS = 12

AttendAll: TypeAlias = Callable[[Attend, torch.Tensor, Inputs], torch.Tensor]


def attend(step: Attend, rows: torch.Tensor, inputs: Inputs) -> torch.Tensor:
    """Attend: rows (T, heads * D + 2 * kv_heads * D) -> (T, heads * D)."""
    if not rows.is_cuda:
        return attend_by_item(step, rows, inputs)
    if rows.dtype in _HALVES and _has_varlen(rows.device, step.head_width):
        return attend_varlen(step, rows, inputs)
    attend_all = choose_kernel(step, rows.dtype, rows.device)
    if not _reach(step, inputs.longest):
        return attend_all(step, rows, inputs)
    return attend_around_window(step, rows, inputs, attend_all)


def choose_kernel(step: Attend, dtype: torch.dtype, device: torch.device) -> AttendAll:
    """Choose what attends to all items at once where flash attention does not, without windows."""
    if _has_packed(dtype, device, step.head_width):
        return attend_packed
    has_jagged = not step.is_causal or step.head_width % _WIDTH_UNIT == 0
    return attend_jagged if has_jagged else attend_by_item


def attend_varlen(step: Attend, rows: torch.Tensor, inputs: Inputs) -> torch.Tensor:
    """Attend with flash attention over the items' starts: a half precision, on a card."""
    from torch.nn.attention.varlen import varlen_attn  # noqa: PLC0415  slow, and for cards alone

    parts, options = _split(step, rows), {}
    if step.num_kv_heads != step.num_heads and _knows(varlen_attn, "enable_gqa"):
        options = {"enable_gqa": True}
    else:
        parts = _repeat(step, *parts)
    reach = step.window - 1 if step.window else -1
    window = (reach, 0 if step.is_causal else reach)
    starts, longest = (inputs.starts,) * 2, (inputs.longest,) * 2  # of queries and of keys
    attended = varlen_attn(*parts, *starts, *longest, scale=1.0, window_size=window, **options)
    return attended.flatten(1)


def attend_packed(step: Attend, rows: torch.Tensor, inputs: Inputs) -> torch.Tensor:
    """Attend with memory-efficient attention over the items' starts, which has float32 on cards.

    Jagged nested tensors end in the same kernel, behind milliseconds of Python a layer.
    """
    parts = (part[None] for part in _repeat(step, *_split(step, rows)))  # (1, T, heads, D) each
    starts, longest = (inputs.starts,) * 2, (inputs.longest,) * 2  # of queries and of keys
    attended: torch.Tensor = torch.ops.aten._efficient_attention_forward.default(  # noqa: SLF001
        *parts, None, *starts, *longest, 0.0, int(step.is_causal), False, scale=1.0
    )[0]  # (1, T, heads, D)
    return attended[0].flatten(1)


def attend_jagged(step: Attend, rows: torch.Tensor, inputs: Inputs) -> torch.Tensor:
    """Attend with jagged nested tensors: slow to start, and PyTorch's public way to that kernel."""
    offsets = inputs.starts.long()
    bounds = {"min_seqlen": min(inputs.lengths), "max_seqlen": inputs.longest}
    query, key, value = (
        torch.nested.nested_tensor_from_jagged(part.contiguous(), offsets, **bounds).transpose(1, 2)
        for part in _repeat(step, *_split(step, rows))
    )  # (B, heads, L of each, D)
    attended = scaled_dot_product_attention(query, key, value, is_causal=step.is_causal, scale=1.0)
    return attended.transpose(1, 2).contiguous().values().flatten(1)


def attend_around_window(
    step: Attend, rows: torch.Tensor, inputs: Inputs, attend_all: AttendAll
) -> torch.Tensor:
    """Attend to the items that the window spans at once, and to each longer one by itself."""
    output = rows.new_empty((len(rows), step.num_heads * step.head_width))
    short = inputs.up_to(step.window)
    if short is not None:
        output[short.places] = attend_all(step, rows[short.places], short.inputs)
    _attend_each(step, rows, inputs, output, longer_than=step.window)
    return output


def attend_by_item(step: Attend, rows: torch.Tensor, inputs: Inputs) -> torch.Tensor:
    """Attend to one item after another: on the CPU, and wherever nothing better is."""
    output = rows.new_empty((len(rows), step.num_heads * step.head_width))
    _attend_each(step, rows, inputs, output)
    return output


def _attend_each(
    step: Attend, rows: torch.Tensor, inputs: Inputs, output: torch.Tensor, longer_than: int = 0
) -> None:
    """Attend to the longer items, one after another, into their rows of (T, heads * D)."""
    query, key, value = (part.transpose(0, 1) for part in _repeat(step, *_split(step, rows)))
    starts = itertools.accumulate(inputs.lengths, initial=0)
    for start, end in itertools.pairwise(starts):
        if end - start <= longer_than:
            continue
        mask = _mask(step, end - start, inputs)
        attended = scaled_dot_product_attention(
            query[None, :, start:end],
            key[None, :, start:end],
            value[None, :, start:end],
            attn_mask=mask,
            is_causal=step.is_causal and mask is None,
            scale=1.0,
        )  # (1, heads, L, D)
        output[start:end] = attended[0].transpose(0, 1).flatten(1)


def _split(step: Attend, rows: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """View the rows' parts: (T, heads, D) queries, (T, kv_heads, D) keys and values."""
    heads = (step.num_heads, step.num_kv_heads, step.num_kv_heads)
    parts = rows.unflatten(1, (-1, step.head_width))[:, : sum(heads)].split(heads, dim=1)
    return tuple(parts)


def _repeat(step: Attend, *parts: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Give each head of queries keys and values of its own."""
    times = step.num_heads // step.num_kv_heads
    if times == 1:
        return parts
    query, key, value = parts
    return query, key.repeat_interleave(times, dim=1), value.repeat_interleave(times, dim=1)


def _reach(step: Attend, length: int) -> int:
    """How far a token of such an item sees; 0 if that is everything."""
    return step.window if step.window < length else 0


def _mask(step: Attend, length: int, inputs: Inputs) -> torch.Tensor | None:
    """Say which tokens see which: (L, L), or None where no window is in the way."""
    reach = _reach(step, length)
    if not reach:
        return None
    key = (length, reach, step.is_causal)
    if key not in inputs.masks:
        places = torch.arange(length, device=inputs.starts.device)
        behind = places[:, None] - places[None, :]  # (L, L): by how much a key comes before
        first = 0 if step.is_causal else 1 - reach
        inputs.masks[key] = (behind < reach) & (behind >= first)
    return inputs.masks[key]


@cache
def _knows(function: Callable[..., torch.Tensor], option: str) -> bool:
    """Tell whether this release's function has an option."""
    return option in inspect.signature(function).parameters


@cache
def _has_varlen(device: torch.device, head_width: int) -> bool:
    """Tell whether flash attention runs here: from Ampere on, for heads of usual widths."""
    if torch.version.hip or not torch.backends.cuda.is_flash_attention_available():
        return False
    if head_width % _WIDTH_UNIT or head_width > _WIDEST_HEAD:
        return False
    return bool(torch.cuda.get_device_capability(device) >= (8, 0))


@cache
def _has_packed(dtype: torch.dtype, device: torch.device, head_width: int) -> bool:
    """Tell whether memory-efficient attention runs here, and is called as it was."""
    if torch.version.hip or not knows_packed_call():
        return False
    probe = torch.empty(1, 1, _WIDTH_UNIT, head_width, dtype=dtype, device=device)
    asked = torch.backends.cuda.SDPAParams(probe, probe, probe, None, 0.0, False, False)
    return bool(torch.backends.cuda.can_use_efficient_attention(asked))


def knows_packed_call() -> bool:
    """Tell whether this release takes the call that `attend_packed` makes."""
    op = getattr(torch.ops.aten, "_efficient_attention_forward", None)
    schema: Any = getattr(getattr(op, "default", None), "_schema", None)
    if not str(schema).startswith(_PACKED_CALL):
        return False
    return all(one.has_default_value() for one in schema.arguments[_NUM_PACKED_ARGUMENTS:])
