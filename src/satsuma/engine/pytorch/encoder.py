"""An Encoder over a program on each device."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from satsuma.engine.architectures.blueprint import Blueprint
from satsuma.engine.protocol import Microbatch, Width
from satsuma.engine.pytorch.inputs import send
from satsuma.engine.pytorch.places import Places, Seat
from satsuma.engine.pytorch.program import Program
from satsuma.errors import EngineError
from satsuma.types import FloatArray


class TorchEncoder:
    """An encoder on PyTorch. Thread-safe."""

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

    def encode(self, microbatch: Microbatch, width: Width) -> FloatArray:
        """Run the model; see `engine.protocol.Encoder`."""
        programs = self._programs  # held for the whole run
        if programs is None:
            raise EngineError("The model was unloaded.")
        self._check(microbatch)
        with self._places.lend(width) as seat:
            return _encode(programs[seat.number], seat, microbatch)

    def close(self) -> None:
        """Let go of the weights; the last run that still reads them frees them."""
        self._programs = None

    def _check(self, microbatch: Microbatch) -> None:
        """Refuse what would read beyond a table: a card stops for good then."""
        ids, longest = microbatch.token_ids, int(microbatch.lengths.max())
        if int(ids.min()) < 0 or int(ids.max()) >= self._vocab_size:
            raise EngineError(f"A token id is beyond the vocabulary of {self._vocab_size}.")
        if longest > self._max_tokens:
            raise EngineError(f"{longest} tokens, and {self._max_tokens} positions.")


def _encode(program: Program, seat: Seat, microbatch: Microbatch) -> FloatArray:
    """Run a microbatch, in halves where it does not fit the device's memory: (T, H)."""
    states = _try(program, seat, microbatch)
    if states is not None:
        return states
    seat.free_memory()
    if len(microbatch.lengths) == 1:
        num_tokens = len(microbatch.token_ids)
        raise EngineError(f"A text of {num_tokens} tokens does not fit the device's memory.")
    return np.concatenate([_encode(program, seat, half) for half in _halve(microbatch)])


def _try(program: Program, seat: Seat, microbatch: Microbatch) -> FloatArray | None:
    """Run a microbatch: (T, H) float32, or None if the device's memory is too small for it."""
    try:
        with torch.inference_mode(), seat.enter():
            return seat.fetch(program.run(send(microbatch, seat.device)))
    except torch.OutOfMemoryError:
        return None  # and so let go of what the traceback holds
    except RuntimeError as error:
        raise EngineError(f"PyTorch failed: {error}") from error


def _halve(microbatch: Microbatch) -> list[Microbatch]:
    """Cut between two items, near the middle of the tokens."""
    ends = np.cumsum(microbatch.lengths)  # (B,)
    middle = int(np.abs(ends[:-1] - ends[-1] / 2).argmin()) + 1
    tokens = np.split(microbatch.token_ids, [ends[middle - 1]])
    lengths = np.split(microbatch.lengths, [middle])
    return [Microbatch(*half) for half in zip(tokens, lengths, strict=True)]
