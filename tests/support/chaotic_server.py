"""`satsuma`, made to suffer: `python chaotic_server.py FAULTS serve ...`.

FAULTS is a list such as `errors=0.1,clock=2`, or `none`:

    errors=SHARE      so many of the microbatches fail in the engine
    deaths=SHARE      so many of them end their engine thread
    hang=SECONDS      a microbatch with the word of `HANGING` takes so long
    clock=SECONDS     the wall clock jumps that often, an hour to and fro
    files=NUMBER      so many descriptors, and no more
    unread=SECONDS    so long may a client take nothing of an answer
"""

from __future__ import annotations

import random
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

HANGING = "narcolepsy"
_JUMPS_S = (0.0, 3600.0, -3600.0, 1800.0)
_NUM_WARM_UPS = 2  # a model's first runs, before anybody waits


def jump_clock(every_s: float) -> None:
    """Let the wall clock jump; what is measured with it goes wrong.

    `datetime.now` is C's and does not: the server only dates what people read by it.
    """
    real_ns, start_s = time.time_ns, time.monotonic()

    def offset_s() -> float:
        return _JUMPS_S[int((time.monotonic() - start_s) / every_s) % len(_JUMPS_S)]

    setattr(time, "time_ns", lambda: real_ns() + int(offset_s() * 1e9))  # noqa: B010 - on purpose
    setattr(time, "time", lambda: time.time_ns() / 1e9)  # noqa: B010


def limit_files(number: float) -> None:
    """Take descriptors away, as a long-running leak would."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (int(number), most))


def limit_unread(limit_s: float) -> None:
    """Wait for clients that do not read as long as a test can."""
    from satsuma.api.writing import WritingProtocol  # noqa: PLC0415 - after other changes

    WritingProtocol.unread_s = limit_s


class SufferingEncoder:
    """An encoder that fails, dies or hangs."""

    def __init__(self, loaded: Any, faults: dict[str, float]) -> None:
        """Stand before a model's encoder."""
        self._encoder = loaded.encoder
        self._faults = faults
        self._dice = random.Random(7)  # noqa: S311 - no secret
        self._num_runs = 0
        self._hanging = loaded.tokenizer.tokenize([HANGING])[0].ids[1:-1].tolist()

    def __getattr__(self, name: str) -> Any:
        """Leave the rest to the encoder."""
        return getattr(self._encoder, name)

    def encode(self, microbatch: Any, width: Any) -> Any:
        """Run, or not."""
        self._num_runs += 1
        if self._num_runs > _NUM_WARM_UPS:
            if self._dice.random() < self._faults.get("errors", 0.0):
                raise RuntimeError("chaos")
            if self._dice.random() < self._faults.get("deaths", 0.0):
                raise SystemExit
            if "hang" in self._faults and self._hangs(microbatch.token_ids.tolist()):
                time.sleep(self._faults["hang"])
        return self._encoder.encode(microbatch, width)

    def _hangs(self, ids: list[int]) -> bool:
        word = self._hanging
        return any(ids[i : i + len(word)] == word for i in range(len(ids)))


def make_suffer(faults: dict[str, float]) -> None:
    """Put a suffering encoder into every model that is loaded from now on."""
    from satsuma import assembly  # noqa: PLC0415 - after the clock was changed
    from satsuma.engine.load import LoadedModel, load_model  # noqa: PLC0415

    def load(*arguments: Any) -> LoadedModel:
        loaded = load_model(*arguments)
        return replace(loaded, encoder=SufferingEncoder(loaded, faults))

    setattr(assembly, "load_model", load)  # noqa: B010


_EARLY: dict[str, Callable[[float], None]] = {
    "clock": jump_clock,
    "files": limit_files,
    "unread": limit_unread,
}


def main() -> None:
    """Begin to suffer, then be satsuma."""
    given = sys.argv.pop(1)
    pairs = (one.split("=") for one in given.split(",") if given != "none")
    faults = {name: float(value) for name, value in pairs}
    for name, begin in _EARLY.items():
        if name in faults:
            begin(faults[name])
    make_suffer(faults)
    from satsuma.cli.main import main as satsuma  # noqa: PLC0415 - as above

    satsuma()


if __name__ == "__main__":
    main()
