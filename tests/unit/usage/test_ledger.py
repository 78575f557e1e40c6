"""What was used: added up by day, account and model, on the disk and through failures."""

from __future__ import annotations

import datetime as dt
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from satsuma.errors import ConfigurationError
from satsuma.usage.ledger import Ledger, Used, total

TODAY = f"{dt.datetime.now(tz=dt.UTC):%Y-%m-%d}"


def test_counts_add_up(tmp_path: Path) -> None:
    """Over writes, and over servers that share a file."""
    one, other = Ledger(tmp_path / "usage.db"), Ledger(tmp_path / "usage.db")
    one.note("me", "m", 2, 20)
    one.write()
    one.note("me", "m", 1, 5)
    other.note("me", "m", 1, 7)
    other.note("you", "m", 1, 1)
    one.write()
    other.write()
    assert one.read() == [Used(TODAY, "me", "m", 3, 4, 32), Used(TODAY, "you", "m", 1, 1, 1)]
    assert one.read(account="you") == [Used(TODAY, "you", "m", 1, 1, 1)]
    assert one.read(model="other") == []
    assert one.read(since="9999-01-01") == []
    assert total(one.read()) == Used("", "", "", 4, 5, 33)


def test_nothing_used_makes_no_file(tmp_path: Path) -> None:
    """And reads as nothing."""
    ledger = Ledger(tmp_path / "usage.db")
    ledger.write()
    assert ledger.read() == []
    assert list(tmp_path.iterdir()) == []


def test_the_file_is_its_owner_s(tmp_path: Path) -> None:
    """Accounts are nobody else's business."""
    ledger = Ledger(tmp_path / "usage.db")
    ledger.note("me", "m", 1, 1)
    ledger.write()
    assert stat.S_IMODE((tmp_path / "usage.db").stat().st_mode) == 0o600


def test_what_cannot_be_written_is_kept(tmp_path: Path) -> None:
    """Until it can."""
    path = tmp_path / "usage.db"
    ledger = Ledger(path)
    ledger.note("me", "m", 1, 1)
    path.mkdir()
    with pytest.raises(ConfigurationError, match="cannot be used"):
        ledger.write()
    path.rmdir()
    ledger.note("me", "m", 1, 2)
    ledger.write()
    assert ledger.read() == [Used(TODAY, "me", "m", 2, 2, 3)]


def test_many_threads_lose_nothing(tmp_path: Path) -> None:
    """While others write."""
    ledger = Ledger(tmp_path / "usage.db")
    with ThreadPoolExecutor(4) as pool:
        for number in range(400):
            pool.submit(ledger.note, "me", "m", 1, 2)
            if number % 100 == 0:
                pool.submit(ledger.write)
    ledger.write()
    assert ledger.read() == [Used(TODAY, "me", "m", 400, 400, 800)]


WRITE_OFTEN = """
import sys
from pathlib import Path
from satsuma.usage.ledger import Ledger
ledger = Ledger(Path(sys.argv[1]))
print("here", flush=True)
sys.stdin.readline()
for _ in range(20):
    ledger.note("me", "m", 1, 2)
    ledger.write()
"""


def test_many_processes_lose_nothing(tmp_path: Path) -> None:
    """Four that begin with the file at the same moment, and write it as often as they can."""
    path = tmp_path / "usage.db"
    command = [sys.executable, "-c", WRITE_OFTEN, str(path)]
    pipe = subprocess.PIPE
    writers = [subprocess.Popen(command, stdin=pipe, stdout=pipe) for _ in range(4)]
    for writer in writers:
        assert writer.stdout is not None
        writer.stdout.readline()
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write(b"\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate(timeout=60)
    assert [writer.returncode for writer in writers] == [0, 0, 0, 0]
    assert Ledger(path).read() == [Used(TODAY, "me", "m", 80, 80, 160)]
