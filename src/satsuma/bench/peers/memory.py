"""A process's peak of resident memory, its reset for each workload, and its mapped files' part."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_PEAK = "VmHWM:"
_RESIDENT = "Rss:"
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


def read_mapped_bytes(process_id: int, folder: Path, proc: Path = Path("/proc")) -> int | None:
    """Read how much of a folder's mapped files is resident; None where the system does not tell."""
    try:
        text = (proc / str(process_id) / "smaps").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return sum_mapped_bytes(text.splitlines(), folder)


def sum_mapped_bytes(smaps: Iterable[str], folder: Path) -> int:
    """Add the resident bytes of the mappings of files in a folder.

    Args:
        smaps: lines as in proc_pid_smaps(5): a mapping's head, which ends with its path, then
            `Name: value` lines of its own.
        folder: absolute, as the kernel names it: links followed.
    """
    total_bytes, is_within, prefix = 0, False, f"{folder}/"
    for line in smaps:
        name, *values = line.split(maxsplit=5)
        if not name.endswith(":"):
            is_within = values[-1].startswith(prefix)
        elif is_within and name == _RESIDENT:
            total_bytes += int(values[0]) * 1024
    return total_bytes


def _own_peak_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # bytes there, kilobytes elsewhere
