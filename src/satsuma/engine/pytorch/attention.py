"""Attention within each item of a packed microbatch, by whichever kernel the device has.

T tokens, L of one item, D width of a head. The queries come divided by what the scores are divided
by, and nothing is padded anywhere.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable
from functools import cache

import torch
from torch.nn.functional import scaled_dot_product_attention

from satsuma.engine.architectures.steps import Attend
from satsuma.engine.pytorch.inputs import Inputs

_HALVES = (torch.float16, torch.bfloat16)
_WIDEST_HEAD = 256  # of flash attention
_WIDTH_UNIT = 8


def attend(step: Attend, rows: torch.Tensor, inputs: Inputs) -> torch.Tensor:
    """Attend: rows (T, heads * D + 2 * kv_heads * D) -> (T, heads * D)."""
    if rows.is_cuda:
        if rows.dtype in _HALVES and _has_varlen(rows.device, step.head_width):
            return attend_varlen(step, rows, inputs)
        has_kernel = not step.is_causal or step.head_width % _WIDTH_UNIT == 0
        if has_kernel and not _reach(step, inputs.longest):
            return attend_jagged(step, rows, inputs)
    return attend_by_item(step, rows, inputs)


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


def attend_jagged(step: Attend, rows: torch.Tensor, inputs: Inputs) -> torch.Tensor:
    """Attend with jagged nested tensors, which have float32 kernels on cards, and no windows."""
    offsets = inputs.starts.long()
    bounds = {"min_seqlen": min(inputs.lengths), "max_seqlen": inputs.longest}
    query, key, value = (
        torch.nested.nested_tensor_from_jagged(part.contiguous(), offsets, **bounds).transpose(1, 2)
        for part in _repeat(step, *_split(step, rows))
    )  # (B, heads, L of each, D)
    attended = scaled_dot_product_attention(query, key, value, is_causal=step.is_causal, scale=1.0)
    return attended.transpose(1, 2).contiguous().values().flatten(1)


def attend_by_item(step: Attend, rows: torch.Tensor, inputs: Inputs) -> torch.Tensor:
    """Attend to one item after another: on the CPU, and wherever nothing better is."""
    query, key, value = (part.transpose(0, 1) for part in _repeat(step, *_split(step, rows)))
    output = rows.new_empty((len(rows), step.num_heads, step.head_width))
    starts = itertools.accumulate(inputs.lengths, initial=0)
    for start, end in itertools.pairwise(starts):
        mask = _mask(step, end - start, inputs)
        attended = scaled_dot_product_attention(
            query[None, :, start:end],
            key[None, :, start:end],
            value[None, :, start:end],
            attn_mask=mask,
            is_causal=step.is_causal and mask is None,
            scale=1.0,
        )  # (1, heads, L, D)
        output[start:end] = attended[0].transpose(0, 1)
    return output.flatten(1)


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
    if torch.version.hip or head_width % _WIDTH_UNIT or head_width > _WIDEST_HEAD:
        return False
    return bool(torch.cuda.get_device_capability(device) >= (8, 0))
