"""`satsuma` before an engine of a known rate: `python paced_server.py TOKENS_PER_S serve ...`.

Its vectors mean nothing, so nothing in the package leads here. `front_rates.py` starts it. To each
line on its standard input it answers on its standard output what every thread has taken of the
processor, and every other process of the server (`--http-processes`). Where that input ends, so
does the server: whoever started it is gone.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from satsuma import assembly
from satsuma.cli.main import main as satsuma
from satsuma.engine.load import LoadedModel, PacedEncoder, load_model, plan_lanes
from satsuma.settings import Settings

HIDDEN_SIZE = 768
MARK = "processor "  # before the answer, among what the server prints
_LONGEST_TOKENS = 512  # of an item; one above the budget runs alone


def pace(tokens_per_s: float) -> None:
    """Put an encoder of this rate into every model that is loaded from now on."""

    def load(files: Any, settings: Settings, *more: Any) -> LoadedModel:
        loaded = load_model(files, settings, *more)
        loaded.encoder.close()
        most_tokens = max(plan_lanes(settings).token_budget, _LONGEST_TOKENS)
        encoder = PacedEncoder(tokens_per_s, hidden_size=HIDDEN_SIZE, most_tokens=most_tokens)
        return replace(loaded, encoder=encoder)

    setattr(assembly, "load_model", load)  # noqa: B010


def tell_processor() -> None:
    """Answer each line; where that ends, stop the server as its signal does."""
    try:
        for _ in sys.stdin:
            print(MARK + json.dumps(thread_seconds()), flush=True)
    finally:  # whoever waits for an answer would wait for ever
        os.kill(os.getpid(), signal.SIGTERM)


def thread_seconds() -> dict[str, float]:
    """Seconds of a processor that threads have taken, by what they do.

    Threads that are not Python's, such as the tokenizers library's, are the "others".
    A process that speaks HTTP is one entry.
    """
    seconds: dict[str, float] = {}
    for thread in threading.enumerate():
        role = thread.name.rstrip("0123456789").rstrip("-_")
        spent_s = spent_seconds(Path(f"/proc/self/task/{thread.native_id}"))
        seconds[role] = seconds.get(role, 0.0) + spent_s
    others_s = time.process_time() - sum(seconds.values())
    return {**seconds, "others": others_s, **front_seconds()}


def front_seconds() -> dict[str, float]:
    """Seconds of a processor that each process that this one started has taken."""
    listed = (read_words(path) for path in Path("/proc/self/task").glob("*/children"))
    children = sorted(int(one) for ids in listed for one in ids)
    return {
        f"front {number}": sum(map(spent_seconds, Path(f"/proc/{child}/task").glob("*")))
        for number, child in enumerate(children, 1)
    }


def spent_seconds(task: Path) -> float:
    """Read what a thread has taken of the processor, from its folder below /proc.

    One that has just ended counts as nothing, and among the "others".
    """
    words = read_words(task / "schedstat")
    return int(words[0]) / 1e9 if words else 0.0


def read_words(path: Path) -> list[str]:
    """Read a file below /proc; a thread or process that has just ended has none."""
    try:
        return path.read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def main() -> None:
    """Be satsuma, paced."""
    pace(float(sys.argv.pop(1)))
    threading.Thread(target=tell_processor, name="teller", daemon=True).start()
    satsuma()


if __name__ == "__main__":
    main()
