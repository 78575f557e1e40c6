"""A process's peak of resident memory, and its reset, so that each workload has its own."""

from __future__ import annotations

import os
import resource
import sys
from contextlib import suppress
from pathlib import Path

_PEAK = "VmHWM:"
_RESET_PEAK = "5"  # of /proc/PID/clear_refs: see proc_pid_clear_refs(5)


def reset_peak(process_id: int, proc: Path = Path("/proc")) -> None:
    """Let the peak begin anew at what is resident now; systems without /proc keep the old one."""
    with suppress(OSError):
        (proc / str(process_id) / "clear_refs").write_text(_RESET_PEAK, encoding="ascii")


def read_peak_bytes(process_id: int, proc: Path = Path("/proc")) -> int | None:
    """Read the most that was resident; None where another process's cannot be read."""
    try:
        lines = (proc / str(process_id) / "status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return _own_peak_bytes() if process_id == os.getpid() else None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(_PEAK)), None)


def _own_peak_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # bytes there, kilobytes elsewhere
