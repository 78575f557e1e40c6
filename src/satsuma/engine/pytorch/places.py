"""Where runs happen: each device's streams, and which device a run goes to.

All models share them, since the scheduler shares the devices among all models. A card takes several
runs at once, each on a stream of its own: while one computes, the next is packed, sent and queued
behind it, and the one before is copied back.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cache

import torch

from satsuma.engine.protocol import Width
from satsuma.engine.pytorch.devices import compute_on, free_memory, is_memory_short
from satsuma.types import FloatArray

CLEAR_WITHIN_S = 10.0  # that a device's runs are waited for, so that one has it for itself
_URGENT = -1  # a stream's priority; lower goes first


@dataclass(slots=True, eq=False)
class Place:
    """A device, and those of its streams that nobody uses.

    Attributes:
        num_runs: that it has now.
        num_wanting: runs that want it for themselves.
        idle: streams, by whether they are urgent.
    """

    device: torch.device
    num_runs: int = 0
    num_wanting: int = 0
    idle: dict[bool, list[torch.cuda.Stream]] = field(default_factory=lambda: {False: [], True: []})

    def take_stream(self, *, is_urgent: bool) -> torch.cuda.Stream | None:
        """Take an idle stream or a new one; None where the device has none."""
        if self.device.type != "cuda":
            return None
        if self.idle[is_urgent]:
            return self.idle[is_urgent].pop()
        return torch.cuda.Stream(self.device, priority=_URGENT if is_urgent else 0)


@dataclass(frozen=True, slots=True)
class Seat:
    """A run's place on a device.

    Attributes:
        number: of the device.
        device: to run on.
        stream: what it runs in; None where the device has none.
    """

    number: int
    device: torch.device
    stream: torch.cuda.Stream | None

    def enter(self) -> AbstractContextManager[object]:
        """Let what is computed meanwhile go to this stream."""
        return nullcontext() if self.stream is None else torch.cuda.stream(self.stream)

    def fetch(self, rows: torch.Tensor) -> FloatArray:
        """Wait for rows (T, H) float32, and bring them here."""
        if self.stream is None:
            return rows.cpu().numpy()  # type: ignore[no-any-return]
        host = torch.empty(rows.shape, dtype=rows.dtype, pin_memory=True)
        host.copy_(rows, non_blocking=True)
        done = torch.cuda.Event(blocking=True)  # sleeps: the cores have tokens to make
        done.record(self.stream)
        done.synchronize()
        return host.numpy()  # type: ignore[no-any-return]  # the memory is let go with it

    def free_memory(self) -> None:
        """Give back what PyTorch keeps of the device's memory."""
        free_memory(self.device)


class Places:
    """Lends devices to runs. Thread-safe.

    Attributes:
        trouble: what a device died of, for good; empty while all of them compute.
    """

    def __init__(self, devices: Sequence[torch.device]) -> None:
        """Start with all of them idle."""
        self.trouble = ""
        self._changed = threading.Condition()
        self._places = [Place(device) for device in devices]
        # PyTorch ends the process if two threads use Apple's GPU at once.
        # Source: https://github.com/pytorch/pytorch/issues/197805
        takes_turns = any(device.type == "mps" for device in devices)
        self._turn = threading.Lock() if takes_turns else nullcontext()

    def take_turn(self) -> AbstractContextManager[object]:
        """Wait where the devices take one thread at a time, until it is this one's turn."""
        return self._turn

    def free_memory(self) -> None:
        """Give back what PyTorch keeps of all devices' memory."""
        with self.take_turn():
            for place in self._places:
                free_memory(place.device)

    def check(self, seat: Seat) -> None:
        """Look, after a failure, whether the device still computes, and remember if not."""
        try:
            with seat.enter():
                compute_on(seat.device)
        except RuntimeError as error:
            if not is_memory_short(error):
                cause = str(error).partition("\n")[0]
                self.trouble = f"{seat.device} failed for good, start the process anew: {cause}"

    @contextmanager
    def lend(self, width: Width) -> Iterator[Seat]:
        """Lend the device that has the fewest runs; a lone core's run is an urgent query."""
        with self.take_turn():
            yield from self._lend(is_urgent=width is Width.ONE_CORE)

    def _lend(self, *, is_urgent: bool) -> Iterator[Seat]:
        with self._changed:
            self._changed.wait_for(self._is_any_open, CLEAR_WITHIN_S)
            number, place = min(
                enumerate(self._places), key=lambda one: (one[1].num_wanting, one[1].num_runs)
            )
            place.num_runs += 1
            stream = place.take_stream(is_urgent=is_urgent)
        try:
            yield Seat(number, place.device, stream)
        finally:
            with self._changed:
                place.num_runs -= 1
                if stream is not None:
                    place.idle[is_urgent].append(stream)
                self._changed.notify_all()

    @contextmanager
    def clear(self, seat: Seat, within_s: float = CLEAR_WITHIN_S) -> Iterator[None]:
        """Leave a device to one of its runs: the others end first, and new ones wait.

        Those that wait for this, as well, do not count. It goes on in any case after a while.
        """
        place = self._places[seat.number]
        with self._changed:
            place.num_wanting += 1
            place.num_runs -= 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: not place.num_runs, within_s)
            place.num_runs += 1
        try:
            yield
        finally:
            with self._changed:
                place.num_wanting -= 1
                self._changed.notify_all()

    def _is_any_open(self) -> bool:
        return any(not place.num_wanting for place in self._places)


@cache
def share_places(devices: tuple[torch.device, ...]) -> Places:
    """Return the places of all models that run on these devices."""
    return Places(devices)
