"""An Encoder over a program on each device."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from functools import cache

import numpy as np
import torch

from satsuma.engine.architectures.blueprint import Blueprint
from satsuma.engine.protocol import Microbatch, Width
from satsuma.engine.pytorch.devices import is_memory_short
from satsuma.engine.pytorch.inputs import send
from satsuma.engine.pytorch.places import Places, Seat
from satsuma.engine.pytorch.program import Program
from satsuma.errors import EngineError
from satsuma.types import FloatArray

_LOGGER = logging.getLogger(__name__)


class TorchEncoder:
    """An encoder on PyTorch. Thread-safe.

    Attributes:
        num_cuts: microbatches that did not fit the device's memory, so far.
    """

    def __init__(self, blueprint: Blueprint, programs: Sequence[Program], places: Places) -> None:
        """Take programs as they are.

        Args:
            blueprint: what they compute.
            programs: one a device, in the places' order.
            places: the devices.
        """
        self._vocab_size, self._max_tokens = blueprint.vocab_size, blueprint.max_tokens
        self._programs: Sequence[Program] | None = programs
        self._places = places
        self.hidden_size = blueprint.widths[blueprint.result]
        self.memory_bytes = programs[0].memory_bytes  # of each device
        self.is_normalized = True
        self.num_cuts = 0

    def encode(self, microbatch: Microbatch, width: Width) -> FloatArray:
        """Run the model; see `engine.protocol.Encoder`."""
        programs = self._programs  # held for the whole run
        if programs is None:
            raise EngineError("The model was unloaded.")
        self._check(microbatch)
        with self._places.lend(width) as seat:
            try:
                return self._run(programs[seat.number], seat, microbatch)
            except Exception:
                self._places.check(seat)
                raise

    @property
    def trouble(self) -> str:
        """Why no run will succeed any more; empty while they may."""
        return self._places.trouble

    def free_memory(self) -> None:
        """Give back memory that past runs took and no run has."""
        self._places.free_memory()

    def close(self) -> None:
        """Let go of the weights; the last run that still reads them frees them."""
        self._programs = None

    def _run(self, program: Program, seat: Seat, microbatch: Microbatch) -> FloatArray:
        """Run a microbatch, in halves where it does not fit the device's memory: (T, H)."""
        states = _try(program, seat, microbatch)
        if states is not None:
            return states
        seat.free_memory()
        if len(microbatch.lengths) == 1:
            return self._run_alone(program, seat, microbatch)
        self.num_cuts += 1
        _tell_of_cut(seat.device, 1 << (len(microbatch.token_ids) - 1).bit_length())
        return np.concatenate([self._run(program, seat, half) for half in _halve(microbatch)])

    def _run_alone(self, program: Program, seat: Seat, microbatch: Microbatch) -> FloatArray:
        """Run one item once more when no other run has a part of the memory."""
        with self._places.clear(seat):
            seat.free_memory()
            states = _try(program, seat, microbatch)
        if states is None:
            num_tokens = len(microbatch.token_ids)
            raise EngineError(f"A text of {num_tokens} tokens does not fit the device's memory.")
        return states

    def _check(self, microbatch: Microbatch) -> None:
        """Refuse what would read beyond a table: a card stops for good then."""
        ids, longest = microbatch.token_ids, int(microbatch.lengths.max())
        if int(ids.min()) < 0 or int(ids.max()) >= self._vocab_size:
            raise EngineError(f"A token id is beyond the vocabulary of {self._vocab_size}.")
        if longest > self._max_tokens:
            raise EngineError(f"{longest} tokens, and {self._max_tokens} positions.")


def _try(program: Program, seat: Seat, microbatch: Microbatch) -> FloatArray | None:
    """Run a microbatch: (T, H) float32, or None if the device's memory is too small for it."""
    is_half = program.dtype is torch.float16  # of a narrow range, unlike bfloat16
    try:
        with torch.inference_mode(), seat.enter():
            states = program.run(send(microbatch, seat.device))
            total = states.sum() if is_half else None
            rows = seat.fetch(states)
            is_whole = total is None or math.isfinite(float(total))
    except RuntimeError as error:
        if is_memory_short(error):
            return None  # and so let go of what the traceback holds
        raise EngineError(f"PyTorch failed: {error}") from error
    if not is_whole:
        raise EngineError("The model's values went beyond fp16; use --precision bf16 or fp32.")
    return rows


@cache
def _tell_of_cut(device: torch.device, most_tokens: int) -> None:
    """Log it, once for each device and size."""
    _LOGGER.warning(
        "%s: its memory is too small for a microbatch of up to %d tokens, which is cut in two; "
        "a smaller --token-budget spares the attempts",
        device,
        most_tokens,
    )


def _halve(microbatch: Microbatch) -> list[Microbatch]:
    """Cut between two items, near the middle of the tokens."""
    ends = np.cumsum(microbatch.lengths)  # (B,)
    middle = int(np.abs(ends[:-1] - ends[-1] / 2).argmin()) + 1
    tokens = np.split(microbatch.token_ids, [ends[middle - 1]])
    lengths = np.split(microbatch.lengths, [middle])
    return [Microbatch(*half) for half in zip(tokens, lengths, strict=True)]
